package edge_test

const hasEpoll = true

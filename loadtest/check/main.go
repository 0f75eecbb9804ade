// Check judges the history of a fault run (package history): whether every event reached every client that
// it had to reach, in order, once and unaltered, or the client was told.
//
//	check [--json FILE] [--history N] [--max-age TIME] FOLDER
//	check --controls [--seed N] [--history N] [--max-age TIME] FOLDER
//
// The first form prints a report; its last line is the verdict. The second one puts one thing that must not
// be into the history, one after the other, and prints what the checker says of each: a checker that misses
// one of them, or finds fault with something else, proves nothing.
//
// Status 0: all invariants hold, or all controls are caught. 1: not so. 2: the history cannot be read, or
// there is nothing in it to judge.
package main

import "os"

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

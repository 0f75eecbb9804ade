package edge

import "github.com/tidingsmesh/tidings/edge/upgrade"

// socket is the transport under a session. Its methods are called by the shard's loop only and
// never wait. Reading happens beside the loop and ends with exactly one gone note; after it, and
// not before, the loop releases the socket, so that a descriptor is never reused under a reader.
type socket interface {
	// write sends what the socket takes at once. Less than all of b with a nil error means that it
	// is full. b is never changed and may be kept until it is sent.
	write(b []byte) (int, error)
	// await asks for one writable note, sent when the socket takes more.
	await()
	// closeWrite ends the sending direction after what was written.
	closeWrite()
	// shut ends both directions at once; the gone note follows.
	shut()
	// release frees the socket.
	release()
}

// driver starts sockets. attach takes over an upgraded connection, feeds the session with what it
// reads, and from then on sends its notes to the session's shard.
type driver interface {
	attach(conn upgrade.Conn, s *session)
	// run drives the sockets until stop is called and every session is gone.
	run()
	stop()
}

// descriptorDriver is a driver that takes sockets as they are accepted: non-blocking descriptors, which
// it owns.
type descriptorDriver interface {
	driver
	attachDescriptor(fd int, early []byte, s *session)
}

// Floor is the least that a server of rooms can do: it accepts, upgrades, and sends each event to each member of
// its room with one system call. No tokens, no history, no queue: who does not read fast enough loses events. It
// is the yardstick of load tests, for what the kernel asks for a delivery on this machine.
//
// Clients speak WebSocket (RFC 6455) and say "join <room>\n" or "leave <room>\n" in text messages; a join is
// answered by "joined <room>\n". Publishers connect to a second port and write lines "<room> <json>\n", each
// answered by "+\n" when it has been sent to every member. The line "?\n" is answered by "?<n>\n", the number of
// sends that were dropped because a member's socket was full, or had gone.
//
// When it is ready it prints its addresses as a line of JSON: {"http":"127.0.0.1:1234","ingest":"127.0.0.1:1235"}.
// Linux only.
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	http := flag.String("http", "127.0.0.1:0", "address for clients, IPv4 and port")
	ingest := flag.String("ingest", "127.0.0.1:0", "address for publishers, IPv4 and port")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "floor: unexpected argument %q\n", flag.Arg(0))
		os.Exit(2)
	}
	fmt.Fprintln(os.Stderr, "floor:", serve(*http, *ingest, os.Stdout)) // it returns only with an error
	os.Exit(1)
}

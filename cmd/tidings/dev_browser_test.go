package main

import (
	"context"
	"encoding/json"
	"iter"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/mesh/meshtest/port"
)

// browser is a headless Chromium with one tab.
type browser struct {
	t       *testing.T
	ctx     context.Context //nolint:containedctx // how chromedp names a tab
	console func() (chromedp.ConsoleMessage, error, bool)
}

// startBrowser fails the test when there is no Chromium: what is not run is not shown. Its profile is new and empty.
func startBrowser(t *testing.T) *browser {
	t.Helper()
	var path string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	require.NotEmpty(t, path, "this test needs Chromium (make test installs it)")
	allocator, end := chromedp.NewExecAllocator(context.Background(),
		chromedp.ExecPath(path), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.WindowSize(1280, 900), chromedp.WSURLReadTimeout(patience),
	)
	t.Cleanup(end)
	ctx, leave := chromedp.NewContext(allocator)
	t.Cleanup(leave)
	require.NoError(t, chromedp.Do(ctx)) // the first one starts the browser
	next, stop := iter.Pull2(chromedp.Console(ctx))
	t.Cleanup(stop)
	return &browser{t: t, ctx: ctx, console: next}
}

// quiet asserts that the console has had nothing to say since the last call: no exception, no violation of the policy, no
// failed request.
func (b *browser) quiet() {
	b.t.Helper()
	const end = "end of what is looked at"
	b.evaluate(`console.debug("` + end + `")`)
	for {
		m, err, ok := b.console()
		require.NoError(b.t, err)
		require.True(b.t, ok)
		if m.Text == end {
			return
		}
		switch m.Type {
		case chromedp.ConsoleError, chromedp.ConsoleWarning, chromedp.ConsoleException:
			assert.Fail(b.t, "the console has something to say", "%s %s", m, m.URL)
		default:
		}
	}
}

// do runs steps; one that waits in vain fails the test and shows what the page said.
func (b *browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	get(b, chromedp.Steps(steps...))
}

// get is do for an action with a result.
func get[T any](b *browser, action chromedp.Action[T]) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	result, err := chromedp.Run(ctx, action)
	if err != nil {
		page, _ := chromedp.Run(b.ctx, chromedp.Evaluate[string]("document.body.innerText")) // there may be no page
		require.NoError(b.t, err, page)
	}
	return result
}

// see waits until something is visible.
func (b *browser) see(selector string) {
	b.t.Helper()
	b.do(chromedp.WaitVisible(chromedp.CSS(selector)))
}

func (b *browser) click(selector string) {
	b.t.Helper()
	b.do(chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
}

func (b *browser) text(selector string) string {
	b.t.Helper()
	return strings.Join(strings.Fields(get(b, chromedp.Text(chromedp.CSS(selector)))), " ")
}

func (b *browser) evaluate(expression string) {
	b.t.Helper()
	b.do(chromedp.Evaluate[chromedp.Void](expression))
}

// open shows the page and joins a room.
func (b *browser) open(page string) {
	b.t.Helper()
	b.do(chromedp.Navigate(page))
	b.see(`#state[data-state=open]`)
}

func (b *browser) join(room string) {
	b.t.Helper()
	b.do(chromedp.SetValue(chromedp.CSS("#room"), room))
	b.click("#join button")
}

// row is one event as the page shows it.
type row struct {
	Seq, Prev              uint64
	Came, Room, Type, Data string
}

// rows are the events on the page, the oldest first.
func (b *browser) rows() []row {
	b.t.Helper()
	return get(b, chromedp.Evaluate[[]row](`[...document.querySelectorAll("tr.event")].reverse().map((r) => ({
		Seq: Number(r.dataset.seq), Prev: Number(r.dataset.prev), Came: r.dataset.came, Room: r.dataset.room,
		Type: r.querySelector(".type").textContent, Data: r.querySelector(".data").textContent }))`))
}

// whole asserts that the page shows exactly these sequences, each once and each with the one before it as predecessor.
func (b *browser) whole(want ...uint64) {
	b.t.Helper()
	var got []uint64
	for i, r := range b.rows() {
		if i > 0 {
			assert.Equal(b.t, got[i-1], r.Prev, "predecessor of %d", r.Seq)
		}
		assert.Less(b.t, r.Prev, r.Seq)
		got = append(got, r.Seq)
	}
	assert.Equal(b.t, want, got)
	b.see(`#continuity[data-gaps="0"][data-duplicates="0"]`)
}

func eventRow(seq uint64, came string) string {
	return `tr.event[data-seq="` + strconv.FormatUint(seq, 10) + `"][data-came=` + came + `]`
}

// pub publishes with the command line and returns the sequence.
func (s *served) pub(t *testing.T, room string) uint64 {
	t.Helper()
	got := run(t, nil, "pub", room, "settlement_updated", `{"id":"17"}`, "--nats", s.nats)
	require.Equal(t, statusOK, got.status, got.stderr)
	seq, err := strconv.ParseUint(strings.TrimSpace(got.stdout), 10, 64)
	require.NoError(t, err)
	return seq
}

func TestDevPage_ShowsWhatAnyWorkerPublishes(t *testing.T) {
	s := startDev(t)
	b := startBrowser(t)
	b.open(s.page)
	assert.Contains(t, b.text("#grants"), "may see campaign:42 settlement:*, and like everyone broadcast:*")
	b.join("campaign:42")
	b.see(`#rooms [data-room="campaign:42"][data-state=joined]`)

	first := s.pub(t, "campaign:42")
	b.see(eventRow(first, "live"))

	nc := connect(t, s.nats)
	structured := store(t, nc, &nats.Msg{Data: []byte(`{"type":"dice_rolled","data":"<b onclick=alert(1)>six</b>"}`)})
	b.see(eventRow(structured, "live"))
	binary := store(t, nc, &nats.Msg{
		Data:   []byte(`{"eyes":6}`),
		Header: nats.Header{"ce-type": {"dice_rolled"}, "content-type": {"application/json"}},
	})
	b.see(eventRow(binary, "live"))

	b.click("#publish button")
	b.see(`#published:not(:empty)`)
	said, found := strings.CutPrefix(b.text("#published"), "stored in campaign:42 as ")
	require.True(t, found, said)
	typed, err := strconv.ParseUint(said, 10, 64)
	require.NoError(t, err)
	b.see(eventRow(typed, "live"))

	b.whole(first, structured, binary, typed)
	rows := b.rows()
	assert.Equal(t, row{structured, first, "live", "campaign:42", "dice_rolled", `"<b onclick=alert(1)>six</b>"`}, rows[1], "text stays text")
	assert.Equal(t, `{"eyes": 6}`, rows[2].Data)
	assert.Equal(t, "settlement_updated", rows[3].Type)
	assert.NotEqual(t, "–", b.text("#session"))
	assert.Contains(t, b.text("#expires"), "h")
	b.quiet()
}

// store sends a plain message to campaign:42 and returns the sequence at which the stream has it.
func store(t *testing.T, nc *nats.Conn, m *nats.Msg) uint64 {
	t.Helper()
	m.Subject = "room.campaign.42"
	reply, err := nc.RequestMsgWithContext(within(t), m)
	require.NoError(t, err)
	var ack struct{ Seq uint64 }
	require.NoError(t, json.Unmarshal(reply.Data, &ack))
	return ack.Seq
}

func TestDevPage_AfterACutExactlyTheMissedEventsAreReplayed(t *testing.T) {
	s := startDev(t)
	b := startBrowser(t)
	b.open(s.page)
	b.join("campaign:42")
	b.see(`#rooms [data-room="campaign:42"][data-state=joined]`)
	first := s.pub(t, "campaign:42")
	b.see(eventRow(first, "live"))

	b.click("#cut")
	b.see(`#state[data-state=away]`)
	want := []uint64{first}
	for range 3 {
		want = append(want, s.pub(t, "campaign:42"))
	}
	b.whole(first)
	b.click("#reconnect")
	b.see(`#notices [data-room="campaign:42"][data-replay="3"]`)
	assert.Contains(t, b.text("#notices"), "joined recovered:true replay:3")
	for _, seq := range want[1:] {
		b.see(eventRow(seq, "replayed"))
	}
	want = append(want, s.pub(t, "campaign:42"))
	b.see(eventRow(want[4], "live"))
	b.whole(want...)

	// The same with the page's own means, and with the keyboard alone.
	b.do(chromedp.Focus(chromedp.CSS("#cut")), chromedp.KeyEvent(kb.Enter))
	b.see(`#state[data-state=away]`)
	b.see(`#reconnect:focus`)
	b.click("#away-publish")
	b.see(`#published:not(:empty)`)
	b.do(chromedp.Focus(chromedp.CSS("#reconnect")), chromedp.KeyEvent(kb.Enter))
	b.see(`#notices [data-replay="5"]`)
	b.see(`tr.event:nth-of-type(5)[data-came=replayed]`)
	b.see(`#cut:focus`)
	rows := b.rows()
	require.Len(t, rows, 10)
	for _, r := range rows[5:] {
		assert.Equal(t, "replayed", r.Came)
		want = append(want, r.Seq)
	}
	b.whole(want...)
	b.quiet()
}

// A browser offers compression by itself, compresses what it sends then, and decompresses what comes.
func TestDevPage_WorksCompressed(t *testing.T) {
	s := startDev(t, "--deflate-from", "1B")
	b := startBrowser(t)
	b.open(s.page)
	b.evaluate(`const another = new WebSocket(new URL("/ws", location), "tidings.v1");
		another.onopen = () => { document.title = another.extensions; another.close() }`)
	assert.True(t, get(b, chromedp.Poll[bool](`document.title.startsWith("permessage-deflate")`)))
	b.join("campaign:42")
	b.see(`#rooms [data-room="campaign:42"][data-state=joined]`)
	nc := connect(t, s.nats)
	var want []uint64
	for range 3 {
		seq := store(t, nc, &nats.Msg{Data: []byte(`{"type":"dice_rolled","data":"` + strings.Repeat("six ", 1000) + `"}`)})
		b.see(eventRow(seq, "live"))
		want = append(want, seq)
	}
	b.whole(want...)
	assert.Contains(t, b.rows()[0].Data, "six six")
	b.quiet()
}

func TestDevPage_ShowsThatBobMayNotSeeTheRoom(t *testing.T) {
	s := startDev(t)
	b := startBrowser(t)
	b.open(s.page)
	b.join("campaign:42")
	b.see(`#rooms [data-room="campaign:42"][data-state=joined]`)
	first := s.pub(t, "campaign:42")
	b.see(eventRow(first, "live"))

	b.evaluate(`for (const user of ["bob", "alice", "bob", "alice"]) document.querySelector("#who input[value=" + user + "]").click()`)
	b.click(`#who input[value=bob]`) // the last choice counts
	b.see(`#rooms [data-room="campaign:42"][data-state=denied]`)
	assert.Contains(t, b.text("#grants"), "may see campaign:7,")
	assert.Contains(t, b.text("#notices"), "denied code:forbidden campaign:42: the token does not grant this room.")
	b.join("campaign:7")
	b.see(`#rooms [data-room="campaign:7"][data-state=joined]`)
	s.pub(t, "campaign:42")
	seq := s.pub(t, "campaign:7")
	b.see(eventRow(seq, "live"))
	rows := b.rows()
	require.Len(t, rows, 1, "nothing of the room that was denied, nor of what alice saw")
	assert.Equal(t, "campaign:7", rows[0].Room)
	b.quiet()
}

func TestDevPage_SaysWhatIsWrongWithAnEvent(t *testing.T) {
	s := startDev(t)
	b := startBrowser(t)
	b.open(s.page)
	b.see(`#schema[href="/schemas/settlement_updated.json"]`)
	b.do(chromedp.SetValue(chromedp.CSS("#data"), `{"id": 7}`))
	b.quiet() // from here on the console names the answer 422
	b.click("#publish button")
	b.see("#publish-error")
	assert.Equal(t, "settlement_updated: at data/id: got number, want string", b.text("#publish-error"))
	b.see(`#data[aria-invalid=true]:focus`)

	b.do(chromedp.SetValue(chromedp.CSS("#publish-room"), "campaign"))
	b.click("#publish button")
	b.see(`#publish-room[aria-invalid=true]:focus`)
	assert.Contains(t, b.text("#publish-error"), "has no ':'")

	b.join("nonsense")
	b.see(`#notices [data-kind=denied]`)
	assert.Contains(t, b.text("#notices"), "denied code:bad_room")
}

// A restart brings another secret: the page asks for a new token by itself and resumes where it was.
func TestDevPage_OutlivesARestartOfTheServer(t *testing.T) {
	data, address := t.TempDir(), port.Address(t)
	s := startDev(t, "--data", data, "--http", address)
	b := startBrowser(t)
	b.open(s.page)
	b.join("campaign:42")
	b.see(`#rooms [data-room="campaign:42"][data-state=joined]`)
	first := s.pub(t, "campaign:42")
	b.see(eventRow(first, "live"))
	b.quiet()

	s.stop()
	b.see(`#state[data-state=waiting]`)
	s = startDev(t, "--data", data, "--http", address)
	b.see(`#state[data-state=open]`)
	b.see(`#notices [data-room="campaign:42"][data-replay]`)
	seq := s.pub(t, "campaign:42")
	b.see(`tr.event[data-seq="` + strconv.FormatUint(seq, 10) + `"]`)
	b.see(`#continuity[data-gaps="0"][data-duplicates="0"]`)
	assert.Len(t, b.rows(), 2)
}

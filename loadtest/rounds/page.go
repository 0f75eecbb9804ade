package rounds

import (
	"fmt"
	"os"
	"strings"
)

// Page is a file of documentation. What stands between its two markers is a program's, the rest is written by hand.
type Page struct {
	path          string
	begin, end    string
	before, after string
}

// OpenPage reads it. The markers are comments with the name: "<!-- NAME: begin -->" and "<!-- NAME: end -->".
func OpenPage(path, name string) (*Page, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	p := &Page{path: path, begin: "<!-- " + name + ": begin -->", end: "<!-- " + name + ": end -->"}
	before, rest, begun := strings.Cut(string(text), p.begin)
	_, after, ended := strings.Cut(rest, p.end)
	if !begun || !ended {
		return nil, fmt.Errorf("%s: the tables go between the lines %s and %s, which are not there", path, p.begin, p.end)
	}
	p.before, p.after = before, after
	return p, nil
}

// Path is where it is.
func (p *Page) Path() string { return p.path }

// Replace writes the text between the markers.
func (p *Page) Replace(text string) error {
	return os.WriteFile(p.path, []byte(p.before+p.begin+"\n\n"+text+"\n"+p.end+p.after), 0o644) //nolint:gosec // documentation
}

package history

import (
	"fmt"
	"strings"
)

// Source calls take for every record of a history, those of one file in order, and can do so again. It
// ends with the first error of take.
type Source func(take func(file string, r Record) error) error

// Dir is the history in a folder.
func Dir(dir string) Source {
	return func(take func(file string, r Record) error) error { return Read(dir, take) }
}

// History is a whole history in memory: some 200 bytes a record, texts that occur often kept once. It is
// not changed once it is loaded.
type History struct{ files []file }

type file struct {
	name    string
	records records
}

// records are a growing list that does not have to be copied as it grows.
type records struct {
	parts [][]Record
	n     int
}

const partLength = 1 << 12

func (r *records) add(one Record) {
	if r.n%partLength == 0 {
		r.parts = append(r.parts, make([]Record, 0, partLength))
	}
	last := &r.parts[len(r.parts)-1]
	*last = append(*last, one)
	r.n++
}

func (r *records) at(i int) Record { return r.parts[i/partLength][i%partLength] }

// Load reads a source into memory.
func Load(source Source) (*History, error) {
	h := &History{}
	known := make(map[string]string)
	keep := func(s *string) {
		kept, found := known[*s]
		if !found {
			kept = strings.Clone(*s)
			known[kept] = kept
		}
		*s = kept
	}
	places := make(map[string]int)
	err := source(func(name string, r Record) error {
		i, found := places[name]
		if !found {
			i = len(h.files)
			places[name] = i
			h.files = append(h.files, file{name: name})
		}
		kind, class := string(r.Kind), string(r.Class)
		for _, s := range []*string{&kind, &class, &r.Who, &r.Room, &r.ID, &r.Hash, &r.Text} {
			keep(s)
		}
		r.Kind, r.Class = Kind(kind), Class(class)
		h.files[i].records.add(r)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	return h, nil
}

// Each is the Source of a loaded history.
func (h *History) Each(take func(file string, r Record) error) error {
	return h.edited(nil)(take)
}

// place is where a record is.
type place struct{ file, line int }

// edits are what to have instead of the records at some places.
type edits map[place][]Record

// edited is the history with edits in it.
func (h *History) edited(edits edits) Source {
	return func(take func(file string, r Record) error) error {
		for i, f := range h.files {
			for line := range f.records.n {
				for _, r := range h.with(edits, place{i, line}) {
					if err := take(f.name, r); err != nil {
						return fmt.Errorf("%s:%d: %w", f.name, line+1, err)
					}
				}
			}
		}
		return nil
	}
}

// with is what there is at a place.
func (h *History) with(edits edits, at place) []Record {
	if instead, found := edits[at]; found {
		return instead
	}
	return h.files[at.file].records.parts[at.line/partLength][at.line%partLength:][:1]
}

func (h *History) at(p place) Record { return h.files[p.file].records.at(p.line) }

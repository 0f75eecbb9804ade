package history

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// Digest is what an event's content is compared by: a hash of its type and data. The event is a
// structured CloudEvent; how its JSON is spaced does not matter, the order of members in data does.
func Digest(event []byte) (id, hash string, err error) {
	var e struct {
		ID   string          `json:"id"`
		Type string          `json:"type"`
		Data json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(event, &e); err != nil {
		return "", "", fmt.Errorf("event: %w", err)
	}
	data, err := json.Marshal(e.Data) // compacts
	if err != nil {
		return "", "", fmt.Errorf("event: data: %w", err)
	}
	sum := sha256.Sum256(append(append([]byte(e.Type), 0), data...))
	return e.ID, hex.EncodeToString(sum[:12]), nil
}

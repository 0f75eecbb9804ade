package authz

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/MicahParks/jwkset"
)

// maxSetKeys bounds the keys of a JWK set.
const maxSetKeys = 256

// parseJWKS reads a JWK set (RFC 7517). Keys that must not or cannot verify tokens are left out; ignored holds the reason
// for each, as section 5 of the RFC asks of readers. A set without one usable key is an error.
func parseJWKS(data []byte) (keys []key, ignored []string, err error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(data, &set); err != nil {
		return nil, nil, errors.New("the answer is no JWK set")
	}
	if len(set.Keys) > maxSetKeys {
		return nil, nil, fmt.Errorf("the set has %d keys, at most %d are read", len(set.Keys), maxSetKeys)
	}
	for _, raw := range set.Keys {
		k, err := parseJWK(raw)
		if err != nil {
			ignored = append(ignored, err.Error())
			continue
		}
		keys = append(keys, k)
	}
	switch {
	case len(keys) > 0:
		return keys, ignored, nil
	case len(ignored) > 0:
		return nil, nil, fmt.Errorf("the set has no usable key; the first is %s", ignored[0])
	default:
		return nil, nil, errors.New("the set is empty")
	}
}

func parseJWK(raw json.RawMessage) (key, error) {
	var m jwkset.JWKMarshal
	if err := json.Unmarshal(raw, &m); err != nil {
		return key{}, errors.New("a key that is no JWK")
	}
	switch {
	case m.KTY == jwkset.KtyOct:
		return key{}, errors.New("a symmetric key, which is no secret once it is published")
	case m.D != "":
		return key{}, errors.New("a private key, which is no secret once it is published")
	case m.USE != "" && m.USE != jwkset.UseSig:
		return key{}, errors.New("a key whose use is not sig")
	case len(m.KEYOPS) > 0 && !slices.Contains(m.KEYOPS, jwkset.KeyOpsVerify):
		return key{}, errors.New("a key whose key_ops do not include verify")
	case len(m.KID) > maxHeaderTextBytes:
		return key{}, fmt.Errorf("a key whose kid is longer than %d bytes", maxHeaderTextBytes)
	}
	// The key itself came over TLS from the issuer. Certificates around it add nothing, but could make parsing fail.
	m.X5C, m.X5T, m.X5TS256, m.X5U = nil, "", "", ""
	jwk, err := jwkset.NewJWKFromMarshal(m, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
	if err != nil {
		return key{}, fmt.Errorf("a key that does not decode: %w", err)
	}
	k, err := newPublicKey(jwk.Key())
	if err != nil {
		return key{}, err
	}
	k.id = m.KID
	if m.ALG != "" {
		return k.pin(m.ALG.String())
	}
	return k, nil
}

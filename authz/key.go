package authz

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

const (
	// MinSecretBytes is the least length of a shared secret: the output of SHA-256 (RFC 7518 section 3.2).
	MinSecretBytes = 32

	minRSABits = 2048 // RFC 7518 section 3.3
	maxRSABits = 8192 // a larger key makes every verification slow
)

// Taken by name from the library rather than from its registry, which any package in the process may change.
var (
	hmacMethods = []jwt.SigningMethod{jwt.SigningMethodHS256, jwt.SigningMethodHS384, jwt.SigningMethodHS512}
	rsaMethods  = []jwt.SigningMethod{
		jwt.SigningMethodRS256, jwt.SigningMethodRS384, jwt.SigningMethodRS512,
		jwt.SigningMethodPS256, jwt.SigningMethodPS384, jwt.SigningMethodPS512,
	}
	es256Methods = []jwt.SigningMethod{jwt.SigningMethodES256}
	es384Methods = []jwt.SigningMethod{jwt.SigningMethodES384}
	es512Methods = []jwt.SigningMethod{jwt.SigningMethodES512}
	eddsaMethods = []jwt.SigningMethod{jwt.SigningMethodEdDSA}
)

// asymmetric lists the algorithms that a published key may be used with, and nothing else. "none" and the HMAC family
// are absent on purpose.
var asymmetric = map[string]bool{
	"RS256": true, "RS384": true, "RS512": true, "PS256": true, "PS384": true, "PS512": true,
	"ES256": true, "ES384": true, "ES512": true, "EdDSA": true,
}

func isHMAC(alg string) bool { return alg == "HS256" || alg == "HS384" || alg == "HS512" }

// key is one verification key, pinned to the algorithms that fit it. A token chooses among the keys, never among the
// algorithms of a key of another family: a public key can therefore not become an HMAC secret.
type key struct {
	id       string              // kid; empty for a secret or a key from a file
	methods  []jwt.SigningMethod // not empty
	material any                 // []byte, *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey
}

// method returns the algorithm of that name if the key may be used with it, else nil.
func (k key) method(alg string) jwt.SigningMethod {
	for _, m := range k.methods {
		if m.Alg() == alg {
			return m
		}
	}
	return nil
}

// verify reports whether sig is this key's signature of signed by that algorithm.
func (k key) verify(alg, signed string, sig []byte) bool {
	m := k.method(alg)
	return m != nil && m.Verify(signed, sig, k.material) == nil
}

// pin narrows the key to one algorithm, as a JWK with an "alg" member asks for.
func (k key) pin(alg string) (key, error) {
	m := k.method(alg)
	if m == nil {
		return key{}, errors.New("alg does not fit the type of the key")
	}
	k.methods = []jwt.SigningMethod{m}
	return k, nil
}

func newSecretKey(secret []byte) (key, error) {
	if strings.HasPrefix(strings.TrimSpace(string(secret)), "-----BEGIN") {
		return key{}, fmt.Errorf("%w: it is a PEM text; a public key belongs in a key file, and must never serve as a secret", ErrSecret)
	}
	if len(secret) < MinSecretBytes {
		return key{}, fmt.Errorf("%w: %d bytes, at least %d are needed; `openssl rand -hex 32` makes a good one", ErrSecret, len(secret), MinSecretBytes)
	}
	return key{methods: hmacMethods, material: secret}, nil
}

// newPublicKey pins a public key to its algorithms and refuses weak and unsupported ones.
func newPublicKey(public any) (key, error) {
	switch p := public.(type) {
	case *rsa.PublicKey:
		if bits := p.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return key{}, fmt.Errorf("an RSA key of %d bits; it must have %d to %d", bits, minRSABits, maxRSABits)
		}
		if p.E < 3 || p.E%2 == 0 {
			return key{}, errors.New("an RSA key with an impossible exponent")
		}
		return key{methods: rsaMethods, material: p}, nil
	case *ecdsa.PublicKey:
		switch p.Curve {
		case elliptic.P256():
			return key{methods: es256Methods, material: p}, nil
		case elliptic.P384():
			return key{methods: es384Methods, material: p}, nil
		case elliptic.P521():
			return key{methods: es512Methods, material: p}, nil
		default:
			return key{}, fmt.Errorf("an elliptic curve key on %s; it must be P-256, P-384 or P-521", p.Curve.Params().Name)
		}
	case ed25519.PublicKey:
		if len(p) != ed25519.PublicKeySize {
			return key{}, errors.New("an Ed25519 key of the wrong length")
		}
		return key{methods: eddsaMethods, material: p}, nil
	default:
		return key{}, fmt.Errorf("a key of type %T; it must be RSA, ECDSA or Ed25519", public)
	}
}

package authz

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

const (
	maxKeyFileBytes = 256 << 10

	// maxFileKeys bounds the keys of all files together, because a token names none of them: each that fits the
	// algorithm is tried.
	maxFileKeys = 16
)

// readKeyFiles reads the public keys of all files, in order.
func readKeyFiles(paths []string) ([]key, error) {
	var keys []key
	for _, path := range paths {
		more, err := readKeyFile(path)
		if err != nil {
			return nil, fmt.Errorf("%w %q: %w", ErrKeyFile, path, err)
		}
		if keys = append(keys, more...); len(keys) > maxFileKeys {
			return nil, fmt.Errorf("%w %q: more than %d keys in all files; use a JWKS URL, where tokens name their key", ErrKeyFile, path, maxFileKeys)
		}
	}
	return keys, nil
}

func readKeyFile(path string) ([]key, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, maxKeyFileBytes+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxKeyFileBytes {
		return nil, fmt.Errorf("larger than %d bytes", maxKeyFileBytes)
	}
	return parsePEM(data)
}

// parsePEM reads every PEM block of a file. A certificate serves only as the envelope of its key: neither its dates nor
// its issuer are looked at. A chain is refused, because the keys of its authorities must not sign tokens.
func parsePEM(data []byte) ([]key, error) {
	var keys []key
	certificates := 0
	rest := data
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type == "CERTIFICATE" {
			if certificates++; certificates > 1 {
				return nil, errors.New("a chain of certificates; keep only the one of the key that signs tokens")
			}
		}
		public, err := parseBlock(block)
		if err != nil {
			return nil, err
		}
		k, err := newPublicKey(public)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	if bytes.Contains(rest, []byte("-----BEGIN")) {
		return nil, errors.New("a PEM block that is cut off or damaged")
	}
	if len(keys) > 0 {
		return keys, nil
	}
	switch {
	case bytes.HasPrefix(data, []byte("ssh-")), bytes.HasPrefix(data, []byte("ecdsa-sha2-")):
		return nil, errors.New("an SSH public key; `ssh-keygen -e -m PKCS8 -f FILE` turns it into PEM")
	case bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")):
		return nil, errors.New("JSON; a JWK set must be served at a JWKS URL")
	default:
		return nil, errors.New("no PEM block in it; it must begin with -----BEGIN PUBLIC KEY----- or -----BEGIN CERTIFICATE-----")
	}
}

func parseBlock(block *pem.Block) (any, error) {
	switch {
	case block.Type == "PUBLIC KEY":
		return x509.ParsePKIXPublicKey(block.Bytes)
	case block.Type == "RSA PUBLIC KEY":
		return x509.ParsePKCS1PublicKey(block.Bytes)
	case block.Type == "CERTIFICATE":
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		return cert.PublicKey, nil
	case strings.HasSuffix(block.Type, "PRIVATE KEY"):
		return nil, errors.New("a private key, but only the public one is wanted here: `openssl pkey -in FILE -pubout` prints it; keep the private key where tokens are made")
	default:
		return nil, fmt.Errorf("a PEM block of type %q; it must be PUBLIC KEY, RSA PUBLIC KEY or CERTIFICATE", block.Type)
	}
}

package authz

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

// Verifier turns tokens into principals. It is safe for concurrent use.
type Verifier struct {
	parser parser
	static []key   // from the secret and the files
	remote *keySet // nil without a JWKS URL
}

// NewVerifier validates the configuration and reads the key files. It neither starts a goroutine nor touches the network,
// so a key server that is down is no reason to fail; see Ready. The errors are those of Config.Validate.
func NewVerifier(cfg Config, log *slog.Logger) (*Verifier, error) {
	static, err := cfg.load()
	if err != nil {
		return nil, err
	}
	v := &Verifier{parser: newParser(cfg), static: static}
	if cfg.JWKSURL != "" {
		v.remote = newKeySet(cfg, log)
		if cfg.Audience == "" {
			log.LogAttrs(context.Background(), slog.LevelWarn, "tokens that the issuer made for other services are accepted: no audience is configured")
		}
	}
	return v, nil
}

// Run keeps the key set fresh until ctx ends, then returns nil. Without a JWKS URL it only waits. It may be called once;
// a second call returns ErrRanBefore.
func (v *Verifier) Run(ctx context.Context) error {
	if v.remote == nil {
		<-ctx.Done()
		return nil
	}
	return v.remote.run(ctx)
}

// Ready returns nil when tokens can be judged: at once without a JWKS URL, otherwise from the first successful fetch on.
// A later outage does not end readiness, because the last good set stays in use. The error wraps ErrKeysUnavailable.
func (v *Verifier) Ready() error {
	if v.remote == nil {
		return nil
	}
	if err := v.remote.ready(); err != nil {
		return fmt.Errorf("%w: %w", ErrKeysUnavailable, err)
	}
	return nil
}

// Blocking reports whether Verify may wait for the network, for at most JWKSTimeout. If not, it is quick enough to be
// called in an event loop.
func (v *Verifier) Blocking() bool { return v.remote != nil }

// Deadline is the moment at which a connection of the principal must end: its token's expiry plus the leeway, the same
// moment from which Verify refuses that token.
func (v *Verifier) Deadline(p Principal) time.Time { return p.Expires.Add(v.parser.leeway) }

// Verify checks a token at the time now. Its error is always a *Denial. The context bounds the wait for a key set; when
// it ends first, the denial is retryable.
func (v *Verifier) Verify(ctx context.Context, token string, now time.Time) (Principal, error) {
	p, denial := v.parser.parse(token, now, func(h header, signed string, sig []byte) *Denial {
		return v.checkSignature(ctx, h, signed, sig)
	})
	if denial != nil {
		return Principal{}, denial
	}
	return p, nil
}

func (v *Verifier) checkSignature(ctx context.Context, h header, signed string, sig []byte) *Denial {
	if !isHMAC(h.alg) && !asymmetric[h.alg] {
		return deny(RuleAlgorithm, "the algorithm is not one of HS, RS, PS or ES with 256, 384 or 512, or EdDSA")
	}
	tried := false
	for _, k := range v.static { // they have no kid
		if k.method(h.alg) == nil {
			continue
		}
		if k.verify(h.alg, signed, sig) {
			return nil
		}
		tried = true
	}
	if v.remote == nil || isHMAC(h.alg) {
		if !tried {
			return deny(RuleAlgorithm, "no key for "+h.alg+" is configured")
		}
		return deny(RuleSignature, "the signature does not match")
	}
	keys, denial := v.remote.lookup(ctx, h)
	if denial != nil {
		return denial
	}
	for _, k := range keys {
		if k.verify(h.alg, signed, sig) {
			return nil
		}
	}
	return deny(RuleSignature, "the signature does not match")
}

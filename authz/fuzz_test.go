package authz_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/tidingsmesh/tidings/authz"
	"github.com/tidingsmesh/tidings/subjects"
)

// FuzzVerify knows the secret, and so reaches behind the signature: header and payload are signed as they come. Whatever
// is accepted must satisfy golang-jwt's parser at its strictest with the same subject and end, and every room that is
// granted must parse. The text given as a token must not be accepted at all, unless it is the signed token itself.
func FuzzVerify(f *testing.F) {
	for _, header := range []string{
		hsHeader, `{"alg":"none"}`, `{"alg":"HS256","kid":"a","kid":"b"}`, `{"alg":"HS256","crit":["exp"]}`,
		`{"\u0061lg":"HS256"}`, `{"alg":"RS256"}`, `[]`, `{"alg":"HS256","a":[{"b":"]"}]}`,
	} {
		f.Add(header, good, "")
	}
	for _, payload := range []string{
		`{}`, `{"sub":"a","exp":0}`, `{"sub":"a","exp":1e400}`, `{"sub":"a","exp":9999999999.5}`, `{"sub":"\ud800","exp":9999999999}`,
		`{"sub":"a","sub":"b","exp":9999999999}`, `{"sub":"a","exp":9999999999,"rooms":["a:*","b:\u0031"]}`, "\xff", `{"a":`,
		`{"SUB":"a","sub":"b","exp":9999999999,"EXP":1}`, `{"sub":"a","exp":9999999999,"nbf":1,"iat":1,"aud":["x"],"iss":"y"}`,
	} {
		f.Add(hsHeader, payload, hs256(hsHeader, payload))
	}
	f.Add(hsHeader, good, hs256(hsHeader, good))
	f.Add(hsHeader, good, hs256(hsHeader, good)+"\n")
	f.Add(hsHeader, good, "..")
	minted := map[string]bool{}
	for _, family := range families {
		method := family.algs[0]
		token := mint(method, family.key(), fmt.Sprintf(`{"alg":%q}`, method.Alg()), good)
		minted[token] = true
		f.Add(hsHeader, good, token)
	}

	cfg := fileConfig(f, rsaKey(), p256Key(), p384Key(), p521Key(), edKey())
	cfg.Secret = secret
	v := newVerifier(f, cfg)
	oracle := jwt.NewParser(jwt.WithValidMethods([]string{"HS256"}), jwt.WithStrictDecoding(), jwt.WithExpirationRequired(),
		jwt.WithIssuedAt(), jwt.WithLeeway(authz.DefaultLeeway), jwt.WithTimeFunc(func() time.Time { return now }))

	f.Fuzz(func(t *testing.T, header, payload, foreign string) {
		signed := hs256(header, payload)
		p, err := v.Verify(context.Background(), signed, now)
		if err == nil {
			var c jwt.MapClaims
			if _, err := oracle.ParseWithClaims(signed, &c, func(*jwt.Token) (any, error) { return secret, nil }); err != nil {
				t.Fatalf("golang-jwt refuses what we accept: %v", err)
			}
			sub, _ := c.GetSubject()
			exp, _ := c.GetExpirationTime()
			if sub != p.Subject || !exp.Truncate(time.Second).Equal(p.Expires) {
				t.Fatalf("golang-jwt reads %q until %v, we read %q until %v", sub, exp, p.Subject, p.Expires)
			}
			for _, g := range p.Grants {
				if _, err := subjects.ParseRoom(g.String()); err != nil {
					t.Fatalf("granted %q: %v", g, err)
				}
			}
		} else {
			checkDenial(t, err)
		}

		_, err = v.Verify(context.Background(), foreign, now)
		if err != nil {
			checkDenial(t, err)
		} else if !minted[foreign] && !signedWithSecret(foreign) {
			t.Fatalf("accepted a token that nobody signed: %q", foreign)
		}
	})
}

// signedWithSecret signs the first two parts of a token again and reports whether that gives the very same token.
func signedWithSecret(token string) bool {
	dot := strings.LastIndexByte(token, '.')
	if dot < 0 {
		return false
	}
	for _, method := range []jwt.SigningMethod{jwt.SigningMethodHS256, jwt.SigningMethodHS384, jwt.SigningMethodHS512} {
		sig, err := method.Sign(token[:dot], secret)
		if err == nil && base64.RawURLEncoding.EncodeToString(sig) == token[dot+1:] {
			return true
		}
	}
	return false
}

func checkDenial(t *testing.T, err error) {
	t.Helper()
	var d *authz.Denial
	if !errors.As(err, &d) || !slices.Contains(authz.DenialRules(), d.Rule) || d.Retryable || strings.ContainsAny(d.Reason, "\r\n\x00") {
		t.Fatalf("no proper denial: %#v", err)
	}
}

package authz_test

import (
	"crypto"
	"fmt"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/tidingsmesh/tidings/authz"
	"github.com/tidingsmesh/tidings/subjects"
)

func BenchmarkVerify(b *testing.B) {
	typical := fmt.Sprintf(`{"iss":"https://issuer.example/","sub":"user-8f14e45f","aud":"tidings","iat":%d,"exp":%d,"rooms":["campaign:42","settlement:*","user:8f14e45f"]}`,
		now.Unix()-10, now.Unix()+3590)
	bench := func(name string, cfg authz.Config, token string) {
		b.Run(name, func(b *testing.B) {
			cfg.Audience, cfg.Issuer = "tidings", "https://issuer.example/"
			v := newVerifier(b, cfg)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(b.Context(), token, now); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	bench("HS256", secretConfig(), hs256(hsHeader, typical))
	for _, c := range []struct {
		method jwt.SigningMethod
		key    crypto.Signer
	}{
		{jwt.SigningMethodRS256, rsaKey()},
		{jwt.SigningMethodPS256, rsaKey()},
		{jwt.SigningMethodES256, p256Key()},
		{jwt.SigningMethodEdDSA, edKey()},
	} {
		token := mint(c.method, c.key, fmt.Sprintf(`{"alg":%q,"typ":"JWT"}`, c.method.Alg()), typical)
		bench(c.method.Alg(), fileConfig(b, c.key), token)
	}
}

func BenchmarkVerifyRefused(b *testing.B) {
	v := newVerifier(b, secretConfig())
	token := hs256(hsHeader, good)
	for name, bad := range map[string]string{"signature": token[:len(token)-2] + "AA", "algorithm": b64(`{"alg":"none"}`) + ".AAAA."} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(b.Context(), bad, now); err == nil {
					b.Fatal("accepted")
				}
			}
		})
	}
}

func BenchmarkMayJoin(b *testing.B) {
	p := authz.Principal{}
	for i := range 100 {
		p.Grants = append(p.Grants, must(authz.ParsePattern(fmt.Sprintf("campaign:%d", i))))
	}
	room := subjects.Room{Kind: "campaign", ID: "99"}
	b.ReportAllocs()
	for b.Loop() {
		if !(authz.Rules{}).MayJoin(p, room).Allowed {
			b.Fatal("denied")
		}
	}
}

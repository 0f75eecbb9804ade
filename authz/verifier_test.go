package authz_test

import (
	"crypto"
	"encoding/base64"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/authz"
	"github.com/tidingsmesh/tidings/subjects"
)

const hsHeader = `{"alg":"HS256","typ":"JWT"}`

func TestVerify_GoodTokenGivesPrincipal(t *testing.T) {
	v := newVerifier(t, secretConfig())
	p := accepted(t, v, hs256(hsHeader, good))
	assert.Equal(t, "alice", p.Subject)
	assert.Equal(t, now.Add(time.Hour), p.Expires)
	assert.Equal(t, now.Add(time.Hour+authz.DefaultLeeway), v.Deadline(p))
	require.Len(t, p.Grants, 2)
	assert.Equal(t, "campaign:42", p.Grants[0].String())
	assert.Equal(t, "settlement:*", p.Grants[1].String())
	assert.False(t, v.Blocking())
	assert.NoError(t, v.Ready())
}

func TestVerify_EveryAlgorithmWithItsKeyAndNoOther(t *testing.T) {
	var all []crypto.Signer
	for _, f := range families {
		all = append(all, f.key())
	}
	cfg := fileConfig(t, all...)
	cfg.Secret = secret
	everything := newVerifier(t, cfg)
	for i, f := range families {
		alone := newVerifier(t, fileConfig(t, f.key()))
		for _, method := range f.algs {
			header := fmt.Sprintf(`{"alg":%q}`, method.Alg())
			token := mint(method, f.key(), header, good)
			accepted(t, everything, token)
			accepted(t, alone, token)
			for j, other := range families {
				if i != j {
					denied(t, newVerifier(t, fileConfig(t, other.key())), token, authz.RuleAlgorithm)
				}
			}
			denied(t, newVerifier(t, secretConfig()), token, authz.RuleAlgorithm)
			denied(t, alone, token[:len(token)-8]+"AAAAAAAA", authz.RuleSignature)
		}
	}
	stranger := mint(jwt.SigningMethodEdDSA, otherEd(), `{"alg":"EdDSA"}`, good)
	denied(t, newVerifier(t, fileConfig(t, edKey())), stranger, authz.RuleSignature)
	accepted(t, newVerifier(t, fileConfig(t, edKey(), otherEd())), stranger)
	for _, method := range []jwt.SigningMethod{jwt.SigningMethodHS256, jwt.SigningMethodHS384, jwt.SigningMethodHS512} {
		token := mint(method, secret, fmt.Sprintf(`{"alg":%q}`, method.Alg()), good)
		accepted(t, everything, token)
		denied(t, newVerifier(t, fileConfig(t, rsaKey())), token, authz.RuleAlgorithm)
	}
}

func TestVerify_PublicKeyIsNoSecret(t *testing.T) {
	for _, f := range families {
		public := publicPEM(t, f.key())
		for _, key := range [][]byte{public, []byte(strings.TrimSpace(string(public)))} {
			for _, method := range []jwt.SigningMethod{jwt.SigningMethodHS256, jwt.SigningMethodHS384, jwt.SigningMethodHS512} {
				token := mint(method, key, fmt.Sprintf(`{"alg":%q}`, method.Alg()), good)
				denied(t, newVerifier(t, fileConfig(t, f.key())), token, authz.RuleAlgorithm)
				both := fileConfig(t, f.key())
				both.Secret = secret
				denied(t, newVerifier(t, both), token, authz.RuleSignature)
			}
		}
	}
}

func TestVerify_RefusesBadHeaders(t *testing.T) {
	v := newVerifier(t, secretConfig())
	for name, c := range map[string]struct{ header, rule string }{
		"alg none":             {`{"alg":"none"}`, authz.RuleAlgorithm},
		"alg None":             {`{"alg":"None"}`, authz.RuleAlgorithm},
		"alg NONE":             {`{"alg":"NONE"}`, authz.RuleAlgorithm},
		"alg in lower case":    {`{"alg":"hs256"}`, authz.RuleAlgorithm},
		"alg unknown":          {`{"alg":"HS1"}`, authz.RuleAlgorithm},
		"alg without a key":    {`{"alg":"RS256"}`, authz.RuleAlgorithm},
		"alg of other method":  {`{"alg":"HS512"}`, authz.RuleSignature},
		"alg missing":          {`{"typ":"JWT"}`, authz.RuleAlgorithm},
		"alg empty":            {`{"alg":""}`, authz.RuleAlgorithm},
		"alg in other case":    {`{"ALG":"HS256"}`, authz.RuleAlgorithm},
		"alg no string":        {`{"alg":256}`, authz.RuleMalformed},
		"alg null":             {`{"alg":null}`, authz.RuleMalformed},
		"alg list":             {`{"alg":["HS256"]}`, authz.RuleMalformed},
		"alg twice":            {`{"alg":"HS256","alg":"HS256"}`, authz.RuleMalformed},
		"alg twice, escaped":   {`{"alg":"HS256","\u0061lg":"none"}`, authz.RuleMalformed},
		"kid twice":            {`{"alg":"HS256","kid":"a","kid":"b"}`, authz.RuleMalformed},
		"duplicate inside jwk": {`{"alg":"HS256","jwk":{"k":"a","k":"b"}}`, authz.RuleMalformed},
		"kid no string":        {`{"alg":"HS256","kid":7}`, authz.RuleMalformed},
		"kid too long":         {`{"alg":"HS256","kid":"` + strings.Repeat("k", 257) + `"}`, authz.RuleMalformed},
		"kid lone surrogate":   {`{"alg":"HS256","kid":"\ud800"}`, authz.RuleMalformed},
		"crit":                 {`{"alg":"HS256","crit":["exp"]}`, authz.RuleCritical},
		"crit empty":           {`{"alg":"HS256","crit":[]}`, authz.RuleCritical},
		"crit b64":             {`{"alg":"HS256","b64":false,"crit":["b64"]}`, authz.RuleCritical},
		"not JSON":             {`alg=HS256`, authz.RuleMalformed},
		"no object":            {`["alg","HS256"]`, authz.RuleMalformed},
		"string":               {`"HS256"`, authz.RuleMalformed},
		"null":                 {`null`, authz.RuleMalformed},
		"empty":                {``, authz.RuleMalformed},
		"two objects":          {`{"alg":"HS256"}{}`, authz.RuleMalformed},
		"cut off":              {`{"alg":"HS256"`, authz.RuleMalformed},
		"invalid UTF-8":        {"{\"alg\":\"HS256\",\"x\":\"\xff\"}", authz.RuleMalformed},
		"too deep":             {`{"alg":"HS256","x":` + strings.Repeat("[", 33) + strings.Repeat("]", 33) + `}`, authz.RuleMalformed},
		"too many members":     {`{"alg":"HS256"` + members(128) + `}`, authz.RuleMalformed},
	} {
		t.Run(name, func(t *testing.T) { denied(t, v, hs256(c.header, good), c.rule) })
	}
}

func members(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"m%d":%d`, i, i)
	}
	return b.String()
}

func TestVerify_IgnoresHeadersThatBringOrDescribeKeys(t *testing.T) {
	v := newVerifier(t, secretConfig())
	for _, header := range []string{
		`{"alg":"HS256"}`,
		`{"alg":"HS256","typ":"at+jwt"}`,
		`{"typ":"whatever","alg":"HS256"}`,
		`{"alg":"HS256","kid":"a secret has no kid"}`,
		`{"alg":"HS256","jku":"http://127.0.0.1:1/","x5u":"http://127.0.0.1:1/","x5c":["x"],"jwk":{"kty":"oct","k":"AAAA"}}`,
		`{"alg":"HS256"` + members(127) + `}`,
		` { "alg" : "HS256" , "nested" : [ { "a" : [ ] , "b" : { } } , "]}\"," , -1.5e3 , true , null ] } `,
		`{"\u0061lg":"\u0048S256"}`,
	} {
		assert.Equal(t, "alice", accepted(t, v, hs256(header, good)).Subject, header)
	}
	own := `{"alg":"HS256","jwk":{"kty":"oct","k":"` + b64("an attacker brings his own secret") + `"}}`
	denied(t, v, mint(jwt.SigningMethodHS256, []byte("an attacker brings his own secret"), own, good), authz.RuleSignature)
	denied(t, v, mint(jwt.SigningMethodHS256, []byte{}, hsHeader, good), authz.RuleSignature)
}

func TestVerify_RefusesBadForms(t *testing.T) {
	v := newVerifier(t, secretConfig())
	token := hs256(hsHeader, good)
	parts := strings.Split(token, ".")
	sig := must(base64.RawURLEncoding.DecodeString(parts[2]))
	for name, c := range map[string]struct{ token, rule string }{
		"empty":                    {"", authz.RuleMalformed},
		"one part":                 {parts[0], authz.RuleMalformed},
		"two parts":                {parts[0] + "." + parts[1], authz.RuleMalformed},
		"four parts":               {token + ".AAAA", authz.RuleMalformed},
		"five parts":               {"a.b.c.d.e", authz.RuleMalformed},
		"only dots":                {"..", authz.RuleMalformed},
		"no header":                {"." + parts[1] + "." + parts[2], authz.RuleMalformed},
		"no signature":             {parts[0] + "." + parts[1] + ".", authz.RuleSignature},
		"alg none, no signature":   {b64(`{"alg":"none"}`) + "." + parts[1] + ".", authz.RuleAlgorithm},
		"trailing newline":         {token + "\n", authz.RuleMalformed},
		"newline inside":           {token[:10] + "\n" + token[10:], authz.RuleMalformed},
		"carriage return inside":   {token[:10] + "\r" + token[10:], authz.RuleMalformed},
		"leading space":            {" " + token, authz.RuleMalformed},
		"NUL":                      {token + "\x00", authz.RuleMalformed},
		"padding":                  {token + "=", authz.RuleMalformed},
		"standard alphabet":        {strings.Repeat("+/", 4) + token[8:], authz.RuleMalformed},
		"not ASCII":                {token + "é", authz.RuleMalformed},
		"Bearer":                   {"Bearer " + token, authz.RuleMalformed},
		"changed last character":   {token[:len(token)-1] + sameBits(token[len(token)-1]), authz.RuleMalformed},
		"changed signature":        {token[:len(token)-2] + "AA", authz.RuleSignature},
		"signature cut":            {parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(sig[:31]), authz.RuleSignature},
		"signature longer":         {parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(append(sig, 0)), authz.RuleSignature},
		"base64 of one character":  {"A." + parts[1] + "." + parts[2], authz.RuleMalformed},
		"payload of another token": {parts[0] + "." + b64(strings.Replace(good, "alice", "mallory", 1)) + "." + parts[2], authz.RuleSignature},
		"too large":                {sized(t, authz.MaxTokenBytes+1), authz.RuleTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			d := denied(t, v, c.token, c.rule)
			assert.False(t, d.Retryable)
		})
	}
	accepted(t, v, sized(t, authz.MaxTokenBytes))
	accepted(t, v, sized(t, authz.MaxTokenBytes-1))
}

// sameBits returns the base64url character that differs from c only in its last bit, which carries no data at the end of
// 32 bytes: a lenient decoder reads both alike.
func sameBits(c byte) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return string(alphabet[strings.IndexByte(alphabet, c)^1])
}

// sized makes a good token of exactly n bytes.
func sized(t *testing.T, n int) string {
	t.Helper()
	for _, header := range []string{hsHeader, hsHeader + " ", hsHeader + "  "} {
		fixed := len(hs256(header, ""))
		for size := (n - fixed) * 3 / 4; size < (n-fixed)*3/4+3; size++ {
			payload := good + strings.Repeat(" ", size-len(good))
			if token := hs256(header, payload); len(token) == n {
				return token
			}
		}
	}
	require.Failf(t, "no token of that size", "%d bytes", n)
	return ""
}

func TestVerify_RefusesBadClaims(t *testing.T) {
	cfg := secretConfig()
	cfg.Audience, cfg.Issuer = "tidings", "https://issuer.example"
	v := newVerifier(t, cfg)
	base := func(replace ...string) string {
		claims := []string{`"sub":"alice"`, fmt.Sprintf(`"exp":%d`, now.Unix()+60), `"aud":"tidings"`, `"iss":"https://issuer.example"`}
		for i := 0; i < len(replace); i += 2 {
			found := false
			for j := range claims {
				if strings.HasPrefix(claims[j], `"`+replace[i]+`"`) {
					claims[j], found = replace[i+1], true
				}
			}
			if !found {
				claims = append(claims, replace[i+1])
			}
		}
		var kept []string
		for _, c := range claims {
			if c != "" {
				kept = append(kept, c)
			}
		}
		return "{" + strings.Join(kept, ",") + "}"
	}
	at := func(claim string, offset time.Duration) string {
		return fmt.Sprintf(`%q:%d`, claim, now.Add(offset).Unix())
	}
	accepted(t, v, hs256(hsHeader, base()))

	for name, c := range map[string]struct{ payload, rule string }{
		"exp missing":            {base("exp", ""), authz.RuleNoExpiry},
		"exp in other case":      {base("exp", at("Exp", time.Hour)), authz.RuleNoExpiry},
		"exp 0":                  {base("exp", `"exp":0`), authz.RuleNoExpiry},
		"exp 0.9":                {base("exp", `"exp":0.9`), authz.RuleNoExpiry},
		"exp -0":                 {base("exp", `"exp":-0`), authz.RuleClaims},
		"exp null":               {base("exp", `"exp":null`), authz.RuleClaims},
		"exp string":             {base("exp", `"exp":"9999999999"`), authz.RuleClaims},
		"exp true":               {base("exp", `"exp":true`), authz.RuleClaims},
		"exp list":               {base("exp", `"exp":[9999999999]`), authz.RuleClaims},
		"exp object":             {base("exp", `"exp":{}`), authz.RuleClaims},
		"exp negative":           {base("exp", `"exp":-1`), authz.RuleClaims},
		"exp 1e400":              {base("exp", `"exp":1e400`), authz.RuleClaims},
		"exp 9e9":                {base("exp", `"exp":9e9`), authz.RuleClaims},
		"exp 9.9E9":              {base("exp", `"exp":9.9E9`), authz.RuleClaims},
		"exp after 9999":         {base("exp", `"exp":253402300800`), authz.RuleClaims},
		"exp beyond int64":       {base("exp", `"exp":9223372036854775808`), authz.RuleClaims},
		"exp beyond uint64":      {base("exp", `"exp":18446744073709551617`), authz.RuleClaims},
		"exp past":               {base("exp", at("exp", -time.Hour)), authz.RuleExpired},
		"exp past by leeway":     {base("exp", at("exp", -30*time.Second)), authz.RuleExpired},
		"exp fraction":           {base("exp", fmt.Sprintf(`"exp":%d.999`, now.Unix()-30)), authz.RuleExpired},
		"nbf future":             {base("nbf", at("nbf", 31*time.Second)), authz.RuleNotYetValid},
		"nbf string":             {base("nbf", `"nbf":"0"`), authz.RuleClaims},
		"nbf huge":               {base("nbf", `"nbf":1e99`), authz.RuleClaims},
		"iat future":             {base("iat", at("iat", 31*time.Second)), authz.RuleNotYetValid},
		"iat null":               {base("iat", `"iat":null`), authz.RuleClaims},
		"aud missing":            {base("aud", ""), authz.RuleAudience},
		"aud other":              {base("aud", `"aud":"billing"`), authz.RuleAudience},
		"aud empty":              {base("aud", `"aud":""`), authz.RuleAudience},
		"aud empty list":         {base("aud", `"aud":[]`), authz.RuleAudience},
		"aud in other case":      {base("aud", `"aud":"Tidings"`), authz.RuleAudience},
		"aud prefix":             {base("aud", `"aud":"tidings2"`), authz.RuleAudience},
		"aud list of others":     {base("aud", `"aud":["billing","mail"]`), authz.RuleAudience},
		"aud list with number":   {base("aud", `"aud":["tidings",1]`), authz.RuleClaims},
		"aud nested":             {base("aud", `"aud":[["tidings"]]`), authz.RuleClaims},
		"aud number":             {base("aud", `"aud":1`), authz.RuleClaims},
		"aud object":             {base("aud", `"aud":{"tidings":1}`), authz.RuleClaims},
		"aud null":               {base("aud", `"aud":null`), authz.RuleClaims},
		"iss missing":            {base("iss", ""), authz.RuleIssuer},
		"iss other":              {base("iss", `"iss":"https://issuer.example/"`), authz.RuleIssuer},
		"iss list":               {base("iss", `"iss":["https://issuer.example"]`), authz.RuleClaims},
		"sub missing":            {base("sub", ""), authz.RuleClaims},
		"sub in other case":      {base("sub", `"Sub":"alice"`), authz.RuleClaims},
		"sub empty":              {base("sub", `"sub":""`), authz.RuleClaims},
		"sub number":             {base("sub", `"sub":7`), authz.RuleClaims},
		"sub null":               {base("sub", `"sub":null`), authz.RuleClaims},
		"sub newline":            {base("sub", `"sub":"al\nice"`), authz.RuleClaims},
		"sub NUL":                {base("sub", `"sub":"al\u0000ice"`), authz.RuleClaims},
		"sub DEL":                {base("sub", "\"sub\":\"al\x7fice\""), authz.RuleClaims},
		"sub C1":                 {base("sub", `"sub":"al\u0085ice"`), authz.RuleClaims},
		"sub too long":           {base("sub", `"sub":"`+strings.Repeat("a", 257)+`"`), authz.RuleClaims},
		"sub surrogate":          {base("sub", `"sub":"\ud83dx"`), authz.RuleMalformed},
		"sub invalid UTF-8":      {base("sub", "\"sub\":\"al\xc3\x28\""), authz.RuleMalformed},
		"sub twice":              {base("x", `"sub":"bob"`), authz.RuleMalformed},
		"exp twice":              {base("x", `"exp":9999999999`), authz.RuleMalformed},
		"sub twice, escaped":     {base("x", `"s\u0075b":"bob"`), authz.RuleMalformed},
		"unused claim twice":     {base("x", `"x":1`, "y", `"x":2`), authz.RuleMalformed},
		"duplicate inside claim": {base("x", `"x":[{"a":1,"a":2}]`), authz.RuleMalformed},
		"too many claims":        {base("x", `"x":0`+members(128)), authz.RuleMalformed},
		"too deep":               {base("x", `"x":`+strings.Repeat(`{"a":`, 32)+"1"+strings.Repeat("}", 32)), authz.RuleMalformed},
		"rooms string":           {base("rooms", `"rooms":"campaign:42"`), authz.RuleClaims},
		"rooms null":             {base("rooms", `"rooms":null`), authz.RuleClaims},
		"rooms object":           {base("rooms", `"rooms":{"campaign:42":true}`), authz.RuleClaims},
		"rooms of numbers":       {base("rooms", `"rooms":[42]`), authz.RuleClaims},
		"rooms with null":        {base("rooms", `"rooms":["campaign:42",null]`), authz.RuleClaims},
		"rooms nested":           {base("rooms", `"rooms":[["campaign:42"]]`), authz.RuleClaims},
		"room without id":        {base("rooms", `"rooms":["campaign"]`), authz.RuleClaims},
		"room empty":             {base("rooms", `"rooms":[""]`), authz.RuleClaims},
		"room star":              {base("rooms", `"rooms":["*"]`), authz.RuleClaims},
		"room any kind":          {base("rooms", `"rooms":["*:*"]`), authz.RuleClaims},
		"room prefix":            {base("rooms", `"rooms":["campaign:4*"]`), authz.RuleClaims},
		"room reserved":          {base("rooms", `"rooms":["_fence:*"]`), authz.RuleClaims},
		"room control character": {base("rooms", `"rooms":["campaign:4\n2"]`), authz.RuleClaims},
		"room surrogate":         {base("rooms", `"rooms":["campaign:\udc00"]`), authz.RuleMalformed},
		"second room bad":        {base("rooms", `"rooms":["campaign:42","Campaign:43"]`), authz.RuleClaims},
		"too many rooms":         {base("rooms", rooms(513)), authz.RuleClaims},
		"no object":              {`["alice"]`, authz.RuleMalformed},
		"no JSON":                {`sub=alice`, authz.RuleMalformed},
		"empty":                  {``, authz.RuleMalformed},
		"NaN":                    {base("exp", `"exp":NaN`), authz.RuleMalformed},
		"leading zero":           {base("exp", `"exp":09999999999`), authz.RuleMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			d := denied(t, v, hs256(hsHeader, c.payload), c.rule)
			assert.False(t, d.Retryable)
			for _, text := range []string{"alice", "campaign:4\n2", "campaign:4*", "_fence", "Campaign", "billing", "issuer.example/"} {
				assert.NotContains(t, d.Error(), text, "token text in a denial")
			}
		})
	}

	for name, payload := range map[string]string{
		"exp a second before the leeway ends": base("exp", at("exp", -29*time.Second)),
		"exp with a fraction":                 base("exp", fmt.Sprintf(`"exp":%d.75`, now.Unix()+5)),
		"exp last second of 9999":             base("exp", `"exp":253402300799`),
		"nbf at the leeway":                   base("nbf", at("nbf", 30*time.Second)),
		"nbf 0":                               base("nbf", `"nbf":0`),
		"iat at the leeway":                   base("iat", at("iat", 30*time.Second)),
		"aud among others":                    base("aud", `"aud":["billing","tidings"]`),
		"aud escaped":                         base("aud", `"aud":"tid\u0069ngs"`),
		"sub of 256 bytes":                    base("sub", `"sub":"`+strings.Repeat("a", 256)+`"`),
		"sub of other scripts":                base("sub", `"sub":"жук 🐞"`),
		"sub escaped":                         base("sub", `"sub":"\ud83d\udc1e"`),
		"rooms empty":                         base("rooms", `"rooms":[]`),
		"512 rooms":                           base("rooms", rooms(512)),
		"unused claims of any kind":           base("x", `"x":{"a":[1,2.5e3,{"b":null}],"c":""},"exp2":-1`),
	} {
		t.Run(name, func(t *testing.T) { accepted(t, v, hs256(hsHeader, payload)) })
	}
}

func rooms(n int) string {
	return `"rooms":[` + strings.TrimSuffix(strings.Repeat(`"a:1",`, n), ",") + `]`
}

func TestRun_WithoutKeySetOnlyWaits(t *testing.T) {
	v := newVerifier(t, secretConfig())
	stop := run(t, v)
	accepted(t, v, hs256(hsHeader, good))
	stop()
}

func TestVerify_AudienceAndIssuerAreFreeWhenNotConfigured(t *testing.T) {
	v := newVerifier(t, secretConfig())
	accepted(t, v, hs256(hsHeader, fmt.Sprintf(`{"sub":"alice","exp":%d,"aud":{"odd":1},"iss":"anyone"}`, now.Unix()+1)))
}

func TestVerify_LeewayZeroIsExact(t *testing.T) {
	cfg := secretConfig()
	cfg.Leeway = 0
	v := newVerifier(t, cfg)
	denied(t, v, hs256(hsHeader, fmt.Sprintf(`{"sub":"a","exp":%d}`, now.Unix())), authz.RuleExpired)
	p := accepted(t, v, hs256(hsHeader, fmt.Sprintf(`{"sub":"a","exp":%d,"nbf":%d}`, now.Unix()+1, now.Unix())))
	assert.Equal(t, now.Add(time.Second), v.Deadline(p))
}

// The end that a connection is given and the refusal of its token must be one moment.
func TestVerify_RefusesFromTheDeadlineOn(t *testing.T) {
	v := newVerifier(t, secretConfig())
	token := hs256(hsHeader, good)
	deadline := v.Deadline(accepted(t, v, token))
	_, err := v.Verify(t.Context(), token, deadline.Add(-1))
	require.NoError(t, err)
	_, err = v.Verify(t.Context(), token, deadline)
	var d *authz.Denial
	require.ErrorAs(t, err, &d)
	assert.Equal(t, authz.RuleExpired, d.Rule)
}

func TestVerify_EscapedRoomIsTheDecodedOne(t *testing.T) {
	v := newVerifier(t, secretConfig())
	p := accepted(t, v, hs256(hsHeader, fmt.Sprintf(`{"sub":"a","exp":%d,"rooms":["campaign\u003a42","campaign:%%34%%33"]}`, now.Unix()+1)))
	assert.True(t, authz.Rules{}.MayJoin(p, subjects.Room{Kind: "campaign", ID: "42"}).Allowed)
	assert.False(t, authz.Rules{}.MayJoin(p, subjects.Room{Kind: "campaign", ID: "43"}).Allowed)
	assert.True(t, authz.Rules{}.MayJoin(p, subjects.Room{Kind: "campaign", ID: "%34%33"}).Allowed)
}

func TestVerify_PrincipalKeepsNothingOfTheToken(t *testing.T) {
	v := newVerifier(t, secretConfig())
	token := sized(t, authz.MaxTokenBytes)
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	const n = 2000
	kept := make([]authz.Principal, n)
	before := heap()
	for i := range kept {
		kept[i] = accepted(t, v, strings.Clone(token))
	}
	after := heap()
	perPrincipal := int64(after-before) / n
	assert.Less(t, perPrincipal, int64(256), "bytes retained per principal")
	runtime.KeepAlive(kept)
}

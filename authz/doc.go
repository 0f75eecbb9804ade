// Package authz turns a token into a [Principal] and decides which rooms that principal may join.
//
// The way of a token: size and alphabet, header, key, signature, and only then claims. Nothing that an unknown sender
// wrote is decoded as claims before a key of ours has vouched for it. golang-jwt does the arithmetic of the signatures;
// the decoding around it is this package's own, because the library's parser (5.3.1) accepts what a strict one must
// not: duplicate members, member names in the wrong case, crit, a missing or zero exp, non-canonical base64 and line
// breaks. Background: RFC 7515 (JWS), RFC 7517 (JWK), RFC 7519 (JWT) and RFC 8725 (JWT best current practices).
//
// A [Verifier] is built by [NewVerifier] and is safe for concurrent use. With a JWKS URL it needs [Verifier.Run] to be
// running: that goroutine alone talks to the key server. [Rules] and [Pattern] are pure values. The package reads no
// clock to judge a token, the caller passes the time in, and it never logs or returns token text.
package authz

package authz

// The rules by which a token is refused. The set is closed, so that a rule can be a metric label.
const (
	RuleMalformed       = "malformed"        // no JWS in compact form: alphabet, segments, base64, JSON, duplicate members
	RuleTooLarge        = "too_large"        // longer than MaxTokenBytes
	RuleCritical        = "critical"         // has a crit header, which asks for an extension we do not know
	RuleAlgorithm       = "algorithm"        // none, unknown, or not one that the configured keys may be used with
	RuleUnknownKey      = "unknown_key"      // the key set has no key for this token
	RuleKeysUnavailable = "keys_unavailable" // the key set was never fetched successfully; always retryable
	RuleSignature       = "signature"        // not signed by the key it names
	RuleClaims          = "claims"           // a claim has the wrong type, form or size
	RuleNoExpiry        = "no_expiry"        // exp is missing or 0
	RuleExpired         = "expired"          // exp plus leeway has passed
	RuleNotYetValid     = "not_yet_valid"    // nbf or iat is later than now plus leeway
	RuleAudience        = "audience"         // aud is missing or names others
	RuleIssuer          = "issuer"           // iss is missing or another
)

// DenialRules returns every rule that a Denial may carry, for registering metric labels in advance.
func DenialRules() []string {
	return []string{
		RuleMalformed, RuleTooLarge, RuleCritical, RuleAlgorithm, RuleUnknownKey, RuleKeysUnavailable, RuleSignature,
		RuleClaims, RuleNoExpiry, RuleExpired, RuleNotYetValid, RuleAudience, RuleIssuer,
	}
}

// Denial is the error of a token that was refused. It never contains text of the token, so it may be logged and may be
// shown to whoever presented the token.
type Denial struct { //nolint:errname // a decision that is also an error; Decision is its sibling
	// Rule is one of DenialRules.
	Rule string

	// Reason says in words what is wrong and, where it helps, what would be right.
	Reason string

	// Retryable tells that the same token may be accepted later without any change to it, because the fault is a key
	// that we do not have at the moment.
	Retryable bool
}

// Error returns the reason with its rule.
func (d *Denial) Error() string { return "token refused (" + d.Rule + "): " + d.Reason }

func deny(rule, reason string) *Denial { return &Denial{Rule: rule, Reason: reason} }

package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"

	"github.com/tidingsmesh/tidings/mesh"
)

// NATSLogin is how to be let in at an external NATS; serve and pub have these flags in common.
type NATSLogin struct {
	NATSUser     string `group:"NATS" name:"nats-user" placeholder:"USER" help:"User at the external NATS."`
	NATSPassword Secret `group:"NATS" name:"nats-password" placeholder:"PASSWORD" help:"Password of --nats-user; better as TIDINGS_NATS_PASSWORD or in the file than on a command line."`
	NATSCreds    string `group:"NATS" name:"nats-creds" placeholder:"FILE" help:"Credentials file (user JWT and seed) instead of --nats-user; read anew at each connect."`
	NATSCA       string `group:"NATS" name:"nats-ca" placeholder:"FILE" help:"Certificate authorities in PEM that the external NATS is checked with, instead of the system's."`
	NATSCert     string `group:"NATS" name:"nats-cert" placeholder:"FILE" help:"Certificate in PEM to show to the external NATS; with --nats-key."`
	NATSKey      string `group:"NATS" name:"nats-key" placeholder:"FILE" help:"Private key of --nats-cert in PEM."`
	NATSInbox    string `group:"NATS" name:"nats-inbox" default:"_INBOX" placeholder:"PREFIX" help:"Prefix of reply subjects, where the permissions at the external NATS ask for one."`
}

// loginFlags are those flags that only make sense with an external NATS.
var loginFlags = []string{"nats-user", "nats-password", "nats-creds", "nats-ca", "nats-cert", "nats-key", "nats-inbox"}

// dial is the connection to an external NATS at servers; name is shown in its list of connections.
func (l NATSLogin) dial(servers URL, name string, log *slog.Logger) mesh.DialConfig {
	return mesh.DialConfig{
		URL:         string(servers),
		Name:        name,
		CredsFile:   l.NATSCreds,
		User:        l.NATSUser,
		Password:    string(l.NATSPassword),
		TLS:         mesh.TLSConfig{CAFile: l.NATSCA, CertFile: l.NATSCert, KeyFile: l.NATSKey},
		InboxPrefix: l.NATSInbox,
		Log:         log,
	}
}

// validate reports what cannot work, by flag. It reads the files that are named.
func (l NATSLogin) validate(check func(flag string, err error)) {
	switch {
	case l.NATSCreds != "" && l.NATSUser != "":
		check("nats-creds", errors.New("excludes --nats-user: one kind of credentials only"))
	case l.NATSPassword != "" && l.NATSUser == "":
		check("nats-password", errors.New("needs --nats-user beside it"))
	}
	check("nats-creds", readable(l.NATSCreds))
	check("nats-ca", authorities(l.NATSCA))
	switch {
	case l.NATSCert == "" && l.NATSKey == "":
	case l.NATSKey == "":
		check("nats-cert", errors.New("needs --nats-key beside it"))
	case l.NATSCert == "":
		check("nats-key", errors.New("needs --nats-cert beside it"))
	default:
		_, err := tls.LoadX509KeyPair(l.NATSCert, l.NATSKey)
		check("nats-cert", err)
	}
}

// serverURLs checks a list of NATS servers without repeating what may be a password.
func serverURLs(s URL) error {
	for server := range strings.SplitSeq(string(s), ",") {
		server = strings.TrimSpace(server)
		u, err := url.Parse(server)
		switch {
		case err != nil || u.Hostname() == "" || (u.Scheme != "nats" && u.Scheme != "tls"):
			return fmt.Errorf("%q is no NATS address; write nats://host:port or tls://host:port", URL(server).String())
		case u.User != nil:
			return fmt.Errorf("%q holds credentials, and addresses are logged; give --nats-user and --nats-password", URL(server).String())
		}
	}
	return nil
}

// authorities accepts "", which stands for the system's.
func authorities(path string) error {
	if path == "" {
		return nil
	}
	pem, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !x509.NewCertPool().AppendCertsFromPEM(pem) {
		return fmt.Errorf("%s holds no certificate in PEM", path)
	}
	return nil
}

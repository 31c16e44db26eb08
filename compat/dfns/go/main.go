// Drives the door with the vendor's client for Go, unmodified, over TLS: it takes no other scheme.
//
// By hand, with Go 1.26 or newer: go run -C compat/dfns/go . DATA/dev.json (after `go mod tidy`, which
// loads the client). Writes one line of JSON: how many checks passed, and which did not.
package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	dfns "github.com/dfns/dfns-sdk-go/v2"
	"github.com/dfns/dfns-sdk-go/v2/auth"
	"github.com/dfns/dfns-sdk-go/v2/keys"
	"github.com/dfns/dfns-sdk-go/v2/signer"
	"github.com/dfns/dfns-sdk-go/v2/types"
)

type failure struct {
	Check string `json:"check"`
	Shown string `json:"shown"`
}

var (
	passed int
	failed = []failure{}
	ctx    = context.Background()
)

func check(name string, isRight bool, shown any) {
	if isRight {
		passed++
		return
	}
	failed = append(failed, failure{name, fmt.Sprintf("%+v", shown)})
}

// refused checks a refusal of the server: its status, and words of its message.
func refused(name string, status int, words string, err error) {
	var refusal *dfns.APIError
	isRight := errors.As(err, &refusal) && refusal.StatusCode == status && strings.Contains(refusal.Body, words)
	check(name, isRight, err)
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

type door struct {
	URL        string `json:"url"`
	Token      string `json:"auth_token"`
	Credential string `json:"credential_id"`
	Key        string `json:"private_key_pem"`
}

func load(path string) (door, string) {
	var dev struct {
		CA    string `json:"ca_file"`
		Doors struct{ Dfns door }
	}
	if err := json.Unmarshal(must(os.ReadFile(path)), &dev); err != nil {
		panic(err)
	}
	return dev.Doors.Dfns, dev.CA
}

func pemOf(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func text(of string) *string { return &of }

func main() {
	defer func() {
		if fault := recover(); fault != nil {
			check("no fault", false, fault)
		}
		line, _ := json.Marshal(map[string]any{"passed": passed, "failed": failed})
		fmt.Println(string(line))
		if len(failed) > 0 {
			os.Exit(1)
		}
	}()
	at, ca := load(os.Args[1])
	roots := x509.NewCertPool()
	check("the test authority", roots.AppendCertsFromPEM(must(os.ReadFile(ca))), ca)
	web := &http.Client{
		Timeout:   30 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}},
	}
	client := func(token string, credential string, key string) *dfns.Client {
		by := must(signer.NewKeySigner(credential, key))
		return must(dfns.NewClient(dfns.Options{BaseURL: at.URL, AuthToken: token, Signer: by, HTTPClient: web}))
	}
	admin := client(at.Token, at.Credential, at.Key)
	_, err := dfns.NewClient(dfns.Options{BaseURL: strings.Replace(at.URL, "https", "http", 1), AuthToken: "x"})
	check("only TLS", err != nil, err)
	stranger := must(dfns.NewClient(dfns.Options{BaseURL: at.URL, AuthToken: at.Token}))
	_, err = stranger.Keys.ListKeys(ctx, nil)
	check("an unknown authority", err != nil && strings.Contains(err.Error(), "certificate"), err)
	life(admin)
	refusals(admin, client(at.Token+"x", at.Credential, at.Key))
	credentials(admin, client)
}

// life is that of keys: made, found, used, deleted.
func life(admin *dfns.Client) {
	made := must(admin.Keys.CreateKey(ctx, keys.CreateKeyRequest{
		Scheme: types.KeySchemeEdDSA, Curve: types.KeyCurveEd25519, Name: text("from Go, café"),
	}))
	check("made", made.Status == "Active" && made.Custodial && made.DateDeleted == nil, made)
	second := must(admin.Keys.CreateKey(ctx, keys.CreateKeyRequest{
		Scheme: types.KeySchemeECDSA, Curve: types.KeyCurveSecp256k1,
	}))
	seen := map[string]bool{}
	one := int64(1)
	for query := (&keys.ListKeysQuery{Limit: &one}); ; {
		page := must(admin.Keys.ListKeys(ctx, query))
		for _, key := range page.Items {
			seen[key.ID] = true
		}
		if page.NextPageToken == nil {
			break
		}
		query.PaginationToken = page.NextPageToken
	}
	check("listed in pages", seen[made.ID] && seen[second.ID], seen)
	read := must(admin.Keys.GetKey(ctx, made.ID))
	check("read", read.Wallets != nil && read.Store["kind"] == "Hsm" && *read.Name == "from Go, café", read)
	renamed := must(admin.Keys.UpdateKey(ctx, made.ID, keys.UpdateKeyRequest{Name: nil}))
	check("without a name", renamed.Name == nil, renamed)
	message := []byte("hello")
	body := map[string]any{"kind": "Message", "message": "0x" + hex.EncodeToString(message), "externalId": made.ID}
	signed := must(admin.Keys.GenerateSignature(ctx, made.ID, body))
	parts := *signed.Signature
	raw := must(hex.DecodeString(parts["r"].(string)[2:] + parts["s"].(string)[2:]))
	public := must(hex.DecodeString(made.PublicKey))
	check("the signature holds", ed25519.Verify(public, message, raw), signed)
	again := must(admin.Keys.GenerateSignature(ctx, made.ID, body))
	check("the same once more", again.ID == signed.ID, again)
	history := must(admin.Keys.ListSignatures(ctx, made.ID, nil))
	check("the history", history.KeyID == made.ID && len(history.Items) == 1, history)
	signers := must(admin.Signers.ListSigners(ctx))
	check("signers", signers != nil, signers)
	for _, id := range []string{made.ID, second.ID} {
		gone := must(admin.Keys.DeleteKey(ctx, id))
		check("deleted", gone.Status == "Archived" && gone.DateDeleted != nil, gone)
		_, err := admin.Keys.DeleteKey(ctx, id)
		refused("a second time", 404, `"status":"Archived"`, err)
		_, err = admin.Keys.GenerateSignature(ctx, id, map[string]any{"kind": "Hash", "hash": strings.Repeat("00", 32)})
		refused("used after its end", 404, "key not found", err)
	}
	kept := must(admin.Keys.GetKey(ctx, made.ID))
	check("what remains", kept.Status == "Archived", kept)
}

func refusals(admin *dfns.Client, nobody *dfns.Client) {
	_, err := nobody.Keys.ListKeys(ctx, nil)
	refused("nobody's token", 401, "Not Authorized.", err)
	_, err = admin.Keys.GetKey(ctx, "key/../x y")
	refused("a hostile identifier", 404, "key not found", err)
	_, err = admin.Keys.DeleteKey(ctx, "key/../x y")
	refused("a hostile identifier is deleted", 404, "key not found", err)
	_, err = admin.Keys.CreateKey(ctx, keys.CreateKeyRequest{Scheme: "EdDSA", Curve: "stark"})
	refused("no such pair", 400, "curve", err)
	many := int64(501)
	_, err = admin.Keys.ListKeys(ctx, &keys.ListKeysQuery{Limit: &many})
	refused("a long page", 400, "limit", err)
}

// credentials are service accounts with every kind of key that the client signs with.
func credentials(admin *dfns.Client, client func(string, string, string) *dfns.Client) {
	permissions := must(admin.Permissions.ListPermissions(ctx, nil))
	full := permissions.Items[0]["id"].(string)
	_, edKey, _ := ed25519.GenerateKey(rand.Reader)
	pairs := map[string]crypto.Signer{
		"ed25519": edKey,
		"p256":    must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)),
		"p384":    must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)),
		"rsa":     must(rsa.GenerateKey(rand.Reader, 3072)),
	}
	for name, pair := range pairs {
		public := pemOf("PUBLIC KEY", must(x509.MarshalPKIXPublicKey(pair.Public())))
		account := must(admin.Auth.CreateServiceAccount(ctx, auth.CreateServiceAccountRequest{
			Name: fmt.Sprintf("go %s %d", name, time.Now().UnixNano()), PublicKey: public, PermissionID: &full,
		}))
		token := account.AccessTokens[0]
		private := pemOf("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(pair)))
		own := client(*token.AccessToken, token.CredID, private)
		made, err := own.Keys.CreateKey(ctx, keys.CreateKeyRequest{Scheme: "EdDSA", Curve: "ed25519"})
		check("signed with "+name, err == nil && made.Status == "Active", err)
		other := client(*token.AccessToken, token.CredID, must(otherKey()))
		_, err = other.Keys.CreateKey(ctx, keys.CreateKeyRequest{Scheme: "EdDSA", Curve: "ed25519"})
		refused("another key for "+name, 401, "does not have a credential", err)
	}
}

func otherKey() (string, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	return pemOf("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(key))), err
}

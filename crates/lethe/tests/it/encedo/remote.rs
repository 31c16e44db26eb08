//! What several exchanges make up: an approval over the device's own broker, and a wipe that a
//! crash cuts short.

use serde_json::{Value, json};

use super::person::{Person, claims_of, mac, text};
use super::{Api, DOOR, key};
use crate::process::{Folder, Server};

fn path_of(link: &str) -> String {
    let rest = link.strip_prefix("https://").expect("a link");
    rest[rest.find('/').expect("a path")..].to_owned()
}

/// A pairing as clients and telephones go about it; the identifiers of key and pairing.
#[track_caller]
fn pair(api: &Api, phone: &Person) -> (String, String) {
    let client = &api.client;
    let eid = client.get("/api/auth/token").expect(200).json()["eid"].clone();
    let session = client.post("/notify/session", &json!({ "eid": eid })).expect(200).json();
    let [token] = api.tokens(["auth:ext:pair"]);
    let mut begun = api.post(&token, "/api/auth/ext/init", &session).expect(200).json();
    begun["epk"] = session["epk"].clone();
    let made = client.post("/notify/register/init", &begun).expect(200).json();
    let (rid, link) = (text(&made, "rid"), path_of(&text(&made, "link")));
    let check = format!("/notify/register/check/{rid}");
    assert_eq!(client.get(&check).status, 202);
    let request = claims_of(&text(&client.get(&link).expect(200).json(), "request"));
    let claims = json!({
        "jti": request["jti"], "iss": phone.public(), "aud": eid, "epk": request["aud"],
        "label": "Pixel 8 (Android)",
    });
    let reply = phone.write(eid.as_str().expect("text"), &claims);
    client.post(&link, &json!({ "reply": reply })).expect(200);
    let answered = client.get(&check).expect(200).json();
    let paired = api.post(&token, "/api/auth/ext/validate", &answered).expect(200).json();
    client.post(&format!("/notify/register/finalise/{rid}"), &paired).expect(200);
    (text(&paired, "kid"), text(&answered, "pid"))
}

#[test]
fn an_approval_goes_over_the_devices_own_broker() {
    let folder = Folder::new();
    let server = Server::start_dev(&folder.join("data"), &[], &[]);
    let api = Api::of(&server);
    let phone = Person::new([0x42; 32]);
    let (kid, pid) = pair(&api, &phone);
    let [create] = api.tokens(["keymgmt:gen"]);
    let going = api.create(&create, &key("ED25519"));
    let mut wanted = api.client.get("/notify/session").expect(200).json();
    wanted["scope"] = json!("keymgmt:del");
    let asked = api.client.post("/api/auth/ext/request", &wanted).expect(200).json();
    let event = api.client.post("/notify/event/new", &asked).expect(200).json();
    assert_eq!(event["sentcnt"], 1);
    let event = text(&event, "eventid");
    let waiting = api.client.post("/notify/event/data/allbypid", &json!({ "pid": [pid] }));
    assert_eq!(waiting.expect(200).json()["eventid"][&event], json!([pid]));
    let pid_in_path = pid.replace('+', "-").replace('/', "_").replace('=', "");
    let place = format!("/notify/event/data/{event}/{pid_in_path}");
    let question = api.client.get(&place).expect(200).json();
    let eid = text(&api.client.get("/api/auth/token").expect(200).json(), "eid");
    let claims = json!({
        "aud": eid, "jti": question["jti"], "exp": question["exp"], "pid": pid,
        "iss": phone.public(), "scope": question["scope"],
    });
    let reply = phone.write(&eid, &claims);
    let proof = mac(&phone, &text(&question, "epk"), reply.as_bytes());
    let forged = json!({ "authreply": reply, "mac": mac(&phone, &eid, reply.as_bytes()) });
    assert_eq!(api.client.post(&place, &forged).status, 401);
    let approved = json!({ "authreply": reply, "mac": proof });
    api.client.post(&place, &approved).expect(200);
    let answered = api.client.get(&format!("/notify/event/check/{event}")).expect(200).json();
    let answer = api.client.post("/api/auth/ext/token", &answered).expect(200).json();
    assert_eq!(api.delete(&text(&answer, "token"), &going), 200);
    assert_eq!(api.delete(&text(&answer, "token"), &kid), 200, "also itself");
    assert_eq!(api.client.get("/api/system/status").expect(200).json()["fls_state"], 0);
}

/// After a crash in the middle of a wipe the device is what it was, or another one.
#[test]
fn a_wipe_that_a_crash_cuts_short_is_whole_after_the_next_start() {
    let mut wiped = 0;
    for point in ["commit.durable", "slot.root_written", "slot.root_written:2"] {
        let folder = Folder::new();
        let server = Server::start_dev(&folder.join("data"), &[], &[]);
        let api = Api::of(&server);
        let [create] = api.tokens(["keymgmt:gen"]);
        for name in ["ED25519", "AES256"] {
            api.create(&create, &key(name));
        }
        let eid = text(&api.client.get("/api/auth/token").expect(200).json(), "eid");
        let mut server = server.restart_with(&[("LETHE_CRASH_AT", point)]);
        wipe(&server);
        server.wait_for_exit();
        let server = server.restart_with(&[]);
        let client = server.client(DOOR);
        let status = client.get("/api/system/status").expect(200).json();
        assert_eq!(status["fls_state"], 0, "{point}");
        let api = Api::of(&server);
        let [list] = api.tokens(["keymgmt:list"]);
        let total = api.get(&list, "/api/keymgmt/list").expect(200).json()["total"].clone();
        // In development the device is given to its owner again.
        let is_other = text(&client.get("/api/auth/token").expect(200).json(), "eid") != eid;
        assert_eq!(total, json!(if is_other { 0 } else { 2 }), "{point}");
        wiped += u32::from(is_other);
    }
    assert!(wiped >= 1);
}

/// Orders a wipe of a server that may die of anything that it stores.
fn wipe(server: &Server) {
    let client = server.client(DOOR);
    let attempt = || -> Option<()> {
        let send = |path: &str, token: &str, body: &Value| {
            let headers = [crate::client::JSON];
            let client =
                if token.is_empty() { client.clone() } else { client.clone().with_token(token) };
            let body = body.to_string();
            client.try_send(ureq::http::Method::POST, path, &headers, body.as_bytes()).ok()
        };
        let challenge =
            client.try_send(ureq::http::Method::GET, "/api/auth/token", &[], b"").ok()?.json();
        let user = Person::knowing(server.door(DOOR, "user_passphrase"), &text(&challenge, "eid"));
        let exp = challenge["exp"].as_u64()?;
        let claims = json!({
            "jti": challenge["jti"], "aud": challenge["spk"], "exp": exp, "iat": exp - 60,
            "iss": user.public(), "scope": "system:config",
        });
        let auth = json!({ "auth": user.write(&text(&challenge, "spk"), &claims) });
        let token = text(&send("/api/auth/token", "", &auth)?.json(), "token");
        send("/api/system/config", &token, &json!({ "wipeout": true })).map(drop)
    };
    // Whether anybody answered is the crash's to decide.
    let _answered = attempt();
}

//! The API: who may ask, what a site and a session look like, files by ranges.

#![allow(clippy::unwrap_used, reason = "a test and its helpers may panic")]

mod centre;

use centre::Centre;
use serde_json::json;

#[test]
fn nobody_gets_in_without_a_login_and_no_foreign_page_changes_anything() {
    let mut centre = Centre::new();
    centre.start_server();
    let agent = &centre.agent;
    for path in ["/api/sites", "/api/sessions", "/api/records", "/api/live", "/api/events", "/api/nothing"] {
        assert_eq!(agent.get(centre.url(path)).call().unwrap().status(), 401, "{path}");
    }
    let wrong = agent.get(centre.url("/api/sites")).header("Authorization", "Bearer 00").call().unwrap();
    assert_eq!(wrong.status(), 401);

    let login = |password: &str| {
        let body = json!({ "user": "admin", "password": password });
        agent.post(centre.url("/api/login")).send_json(body).unwrap()
    };
    let response = login(&centre.password);
    assert_eq!(response.status(), 200);
    let cookie = response.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(["HttpOnly", "Secure", "SameSite=Strict"].iter().all(|flag| cookie.contains(flag)), "{cookie}");
    let cookie = cookie.split(';').next().unwrap();

    assert_eq!(agent.get(centre.url("/api/sites")).header("Cookie", cookie).call().unwrap().status(), 200);
    let site = json!({ "code": "1", "name": "Tri Lễ" });
    let add = || agent.post(centre.url("/api/sites")).header("Cookie", cookie);
    assert_eq!(add().send_json(&site).unwrap().status(), 403);
    assert_eq!(add().header("X-Requested-With", "other").send_json(&site).unwrap().status(), 403);
    assert_eq!(add().header("X-Requested-With", "bridgepoint").send_json(&site).unwrap().status(), 201);
    assert_eq!(add().header("X-Requested-With", "bridgepoint").send_json(&site).unwrap().status(), 409);

    let out = agent.post(centre.url("/api/logout")).header("Cookie", cookie).header("X-Requested-With", "bridgepoint");
    assert_eq!(out.send_empty().unwrap().status(), 200);
    assert_eq!(agent.get(centre.url("/api/sites")).header("Cookie", cookie).call().unwrap().status(), 401);

    for _ in 0..8 {
        assert_eq!(login("wrong").status(), 401);
    }
    assert_eq!(login(&centre.password).status(), 429);
}

#[test]
fn pages_come_with_headers_that_keep_strangers_out() {
    let mut centre = Centre::new();
    centre.start_server();
    let page = centre.agent.get(centre.url("/")).call().unwrap();
    assert_eq!(page.status(), 200);
    let policy = page.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("default-src 'self'") && policy.contains("media-src 'self' blob:"));
    assert_eq!(page.headers()["x-content-type-options"], "nosniff");
    assert_eq!(centre.agent.get(centre.url("/assets/app.js")).call().unwrap().status(), 200);
    assert_eq!(centre.agent.get(centre.url("/assets/..%2f..%2fCargo.toml")).call().unwrap().status(), 404);
    assert_eq!(centre.agent.get(centre.url("/nothing")).call().unwrap().status(), 404);
}

#[test]
fn sites_are_kept_in_nfc_and_checked() {
    let mut centre = Centre::new();
    centre.start_server();
    // Decomposed, as macOS types it.
    let (status, site) = centre.post("/api/sites", &json!({ "code": "17611", "name": " Tri Le\u{302}\u{303} " }));
    assert_eq!((status, site["name"].as_str()), (201, Some("Tri L\u{1ec5}")));
    for bad in [json!({ "code": "a/b", "name": "x" }), json!({ "code": "1", "name": "" }), json!({ "code": "1" })] {
        let (status, _) = centre.post("/api/sites", &bad);
        assert!((400..500).contains(&status), "{bad}");
    }
    centre.post("/api/sites", &json!({ "code": "16681", "name": "Vinh" }));
    assert_eq!(centre.put("/api/sites/17611/calls", &json!(["16681"])).0, 200);
    assert_eq!(centre.put("/api/sites/17611/calls", &json!(["17611"])).0, 400);
    assert_eq!(centre.put("/api/sites/17611/calls", &json!(["99"])).0, 404);
    let site = centre.get("/api/sites/17611");
    assert_eq!((site["state"].as_str(), &site["calls"]), (Some("never"), &json!(["16681"])));
    assert_eq!(centre.post("/api/sites/99/code", &json!({})).0, 404);
    assert_eq!(centre.post("/api/sessions", &json!({ "sites": ["17611"] })).0, 400);
    assert_eq!(centre.post("/api/sessions", &json!({ "sites": ["17611", "99"] })).0, 404);
}

#[test]
fn whip_is_closed_until_it_is_opened_and_needs_its_token() {
    let mut centre = Centre::new();
    centre.start_server();
    centre.post("/api/sites", &json!({ "code": "1", "name": "A" }));
    let offer = |token: &str| {
        let request = centre.agent.post(centre.url("/whip/1")).header("Authorization", format!("Bearer {token}"));
        request.header("Content-Type", "application/sdp").send("v=0\r\n").unwrap().status().as_u16()
    };
    assert_eq!(offer(&centre.token), 401);
    let (_, opened) = centre.post("/api/sites/1/whip", &json!({}));
    let token = opened["token"].as_str().unwrap();
    assert_eq!(opened["url"], centre.url("/whip/1"));
    assert_eq!(offer("00"), 401);
    assert_eq!(offer(token), 409, "no session has called the site");
    let closed = centre.agent.delete(centre.url("/api/sites/1/whip"));
    assert_eq!(closed.header("Authorization", format!("Bearer {}", centre.token)).call().unwrap().status(), 204);
    assert_eq!(offer(token), 401);
}

#[test]
fn bundles_are_fetched_in_ranges_without_a_login_and_ordered_with_one() {
    let mut centre = Centre::new();
    centre.start_server();
    let bytes: Vec<u8> = (0..200_000_u32).map(|n| n as u8).collect();
    std::fs::create_dir_all(centre.dir().join("bundles")).unwrap();
    std::fs::write(centre.dir().join("bundles/box-2.0.raucb"), &bytes).unwrap();
    std::fs::write(centre.dir().join("bundles/notes.txt"), "not a bundle").unwrap();
    assert_eq!(centre.get("/api/bundles"), json!([{ "name": "box-2.0.raucb", "bytes": 200_000 }]));

    let url = centre.url("/bundles/box-2.0.raucb");
    let mut rest = centre.agent.get(&url).header("Range", "bytes=150000-").call().unwrap();
    assert_eq!(rest.status(), 206);
    assert_eq!(rest.headers()["content-range"], "bytes 150000-199999/200000");
    assert_eq!(rest.body_mut().read_to_vec().unwrap(), bytes[150_000..]);
    for elsewhere in ["notes.txt", "no.raucb", "..%2Fserver.toml", "%2e%2e%2fbundles%2fbox-2.0.raucb"] {
        let status = centre.agent.get(centre.url(&format!("/bundles/{elsewhere}"))).call().unwrap().status();
        assert_eq!(status, 404, "{elsewhere}");
    }

    centre.post("/api/sites", &json!({ "code": "17611", "name": "Tri Lễ" }));
    let order = |bundle: &str, version: &str| {
        centre.post("/api/sites/17611/update", &json!({ "bundle": bundle, "version": version })).0
    };
    assert_eq!(order("no.raucb", "2.0"), 404);
    assert_eq!(order("../server.toml", "2.0"), 404);
    assert_eq!(order("box-2.0.raucb", ""), 400);
    // No box stands there.
    assert_eq!(order("box-2.0.raucb", "2.0"), 409);
    assert_eq!(centre.get("/api/sites/17611/sound-tests"), json!([]));
    assert_eq!(centre.post("/api/sites/17611/sound-test", &json!({ "install": false })).0, 409);
}

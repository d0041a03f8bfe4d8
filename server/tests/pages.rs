//! What a server has at `/`: the game's own page with what the program adds; without one, the demos of the
//! games that it offers.

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

mod util;

use driftless_server::{
    Pages, Server,
    actix_web::{HttpResponse, web},
    config::Config,
};
use driftless_sim::{
    GameKind,
    games::{self, cursors::Cursors},
};
use std::fs;
use util::{TestServer, config, http};

const EMBEDDED: &[(&str, &[u8])] =
    &[("index.html", b"<!doctype html><script>go()</script>"), ("assets/game.wasm", b"\0asm")];

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("assets")).unwrap();
    for (name, text) in
        [("index.html", "mine"), ("assets/main.js", "run()"), (".env", "secret"), ("a b.svg", "<svg/>")]
    {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

#[test]
fn a_folder_is_served_at_the_root_with_types_and_tags() {
    let folder = folder();
    fs::write(folder.path().join("long.css"), "a{}".repeat(1_000)).unwrap();
    let server = TestServer::of(Server::new(&games::kinds()).pages(folder.path()), config());
    for (path, body, of_type) in [
        ("/", "mine", "text/html; charset=utf-8"),
        ("/index.html", "mine", "text/html; charset=utf-8"),
        ("/assets/main.js", "run()", "text/javascript; charset=utf-8"),
        ("/a%20b.svg", "<svg/>", "image/svg+xml"),
    ] {
        let answer = server.get(path);
        assert_eq!((answer.status, &*answer.body), (200, body), "{path}");
        assert_eq!(answer.header("content-type"), Some(of_type), "{path}");
        assert!(answer.header("content-security-policy").unwrap().contains("'wasm-unsafe-eval'"), "{path}");
        let tag = answer.header("etag").unwrap();
        let again = http::send(server.address(), "GET", path, &format!("if-none-match: {tag}\r\n"), "");
        assert_eq!((again.status, &*again.body), (304, ""), "{path}");
    }
    let packed = http::send(server.address(), "GET", "/long.css", "accept-encoding: gzip\r\n", "");
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert!(packed.header("content-length").unwrap().parse::<usize>().unwrap() < 300, "{}", packed.head);
    // Files are sent as they are now, also those that a page names with a version.
    assert_eq!(server.get("/assets/main.js?v=1").header("cache-control"), Some("no-cache"));
    fs::write(folder.path().join("index.html"), "built again").unwrap();
    assert_eq!(server.get("/").body, "built again");
}

#[test]
fn a_long_file_arrives_whole_and_is_not_sent_again_to_who_has_it() {
    let folder = folder();
    let long = "0123456789".repeat(500_000);
    fs::write(folder.path().join("long.wasm"), &long).unwrap();
    let server = TestServer::of(Server::new(&games::kinds()).pages(folder.path()), config());
    let send = |method, headers: &str| http::send(server.address(), method, "/long.wasm", headers, "");
    let answer = send("GET", "accept-encoding: gzip\r\n");
    assert_eq!((answer.status, answer.header("content-encoding")), (200, None));
    assert_eq!(answer.header("content-type"), Some("application/wasm"));
    assert!(answer.body == long, "{} bytes", answer.body.len());
    let head = send("HEAD", "");
    assert_eq!((head.header("content-length"), &*head.body), (Some("5000000"), ""));
    let tag = answer.header("etag").unwrap();
    let again = send("GET", &format!("if-none-match: {tag}\r\n"));
    assert_eq!((again.status, &*again.body), (304, ""));
}

#[test]
fn what_is_not_in_the_folder_is_not_there() {
    let folder = folder();
    let server = TestServer::of(Server::new(&games::kinds()).pages(folder.path()), config());
    for path in
        ["/.env", "/../Cargo.toml", "/%2e%2e/Cargo.toml", "//etc/passwd", "/assets", "/assets/", "/nothing"]
    {
        let answer = server.get(path);
        assert_eq!((answer.status, answer.error_code()), (404, "no_such_path".to_owned()), "{path}");
    }
    assert_eq!(http::send(server.address(), "POST", "/", "", "").status, 404);
    fs::remove_file(folder.path().join("index.html")).unwrap();
    assert_eq!(server.get("/").error_code(), "no_page");
}

#[test]
fn the_servers_own_paths_and_added_routes_come_before_the_page() {
    let folder = folder();
    for name in ["livez", "dashboard", "cursors", "season"] {
        fs::write(folder.path().join(name), "mine").unwrap();
    }
    let season = |app: &mut web::ServiceConfig| {
        app.route("/season", web::get().to(|| async { HttpResponse::Ok().body("spring") }));
    };
    let server = TestServer::of(Server::new(&games::kinds()).pages(folder.path()).routes(season), config());
    assert_eq!(server.get("/season").body, "spring");
    assert!(server.get("/livez").body.contains("ok"));
    assert!(server.get("/dashboard").body.contains("Driftless"));
    // A page of one's own replaces all demos.
    assert_eq!(server.get("/cursors").body, "mine");
    let answer = server.get("/season");
    assert!(answer.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
}

#[test]
fn files_of_the_program_are_served_and_scripts_in_their_pages_run() {
    let server = TestServer::of(Server::new(&games::kinds()).pages(EMBEDDED), config());
    let page = server.get("/");
    assert!(page.body.contains("go()"));
    // printf 'go()' | openssl dgst -sha256 -binary | base64, in lower case like the rest of the header
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("'sha256-5kyv+puboo5h+0+yatgrpbwv5d/qxzhslp4ygnuaxrw='"), "{policy}");
    assert_eq!(server.get("/assets/game.wasm").header("content-type"), Some("application/wasm"));
    assert_eq!(server.get("/assets/main.js").status, 404);
    let own = Pages::embedded(EMBEDDED).policy("default-src 'self'");
    let server = TestServer::of(Server::new(&games::kinds()).pages(own), config());
    assert_eq!(server.get("/").header("content-security-policy"), Some("default-src 'self'"));
}

#[test]
fn a_configured_folder_takes_the_place_of_the_programs_page() {
    let folder = folder();
    let config = Config { pages: Some(folder.path().to_owned()), ..config() };
    let server = TestServer::of(Server::new(&games::kinds()).pages(EMBEDDED), config);
    assert_eq!(server.get("/").body, "mine");
}

#[test]
fn without_a_page_there_are_demos_of_the_games_offered_and_no_others() {
    let server = TestServer::of(Server::new(&[GameKind::of::<Cursors>()]), config());
    let about = server.get("/").body;
    assert!(about.contains("/cursors") && !about.contains("arena"), "{about}");
    assert_eq!(server.get("/cursors").status, 200);
    assert_eq!(server.get("/assets/arena.js").status, 404);
    let sdk = server.get("/sdk/driftless.js");
    assert_eq!(sdk.header("content-type"), Some("text/javascript; charset=utf-8"));
    assert!(sdk.body.contains("as connect"));
}

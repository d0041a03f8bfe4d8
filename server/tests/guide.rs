//! The guide over a real socket: every chapter is there, its links are valid, and its list of close codes is
//! complete.

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

mod util;

use driftless_proto::code::CloseCode;
use std::collections::{BTreeMap, VecDeque};
use util::{TestServer, config};

/// All pages that can be reached from `/guide` without leaving it, by path.
fn crawled(server: &TestServer) -> BTreeMap<String, String> {
    let mut pages = BTreeMap::new();
    let mut waiting = VecDeque::from(["/guide".to_owned()]);
    while let Some(path) = waiting.pop_front() {
        if pages.contains_key(&path) {
            continue;
        }
        let answer = server.get(&path);
        assert_eq!(answer.status, 200, "{path}");
        waiting.extend(links(&answer.body).filter(|link| link.starts_with("/guide")).map(without_heading));
        pages.insert(path, answer.body);
    }
    pages
}

fn links(page: &str) -> impl Iterator<Item = &str> {
    page.split("href=\"").skip(1).filter_map(|rest| rest.split_once('"').map(|(link, _)| link))
}

fn without_heading(link: &str) -> String {
    link.split('#').next().unwrap_or_default().to_owned()
}

#[test]
fn every_link_of_the_guide_leads_somewhere() {
    let server = TestServer::start(config());
    let pages = crawled(&server);
    let files = std::fs::read_dir("guide").unwrap().filter(|file| {
        file.as_ref().is_ok_and(|file| file.path().extension().is_some_and(|ending| ending == "md"))
    });
    assert_eq!(pages.len(), files.count(), "every chapter can be reached: {:?}", pages.keys());
    for (path, page) in &pages {
        for link in links(page).filter(|link| !link.contains("://")) {
            let (to, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if to.is_empty() { page } else { pages.get(to).unwrap_or(page) };
            assert!(
                to.is_empty() || pages.contains_key(to) || server.get(to).status == 200,
                "{path}: {link}"
            );
            let id = format!("id=\"{heading}\"");
            assert!(heading.is_empty() || target.contains(&id), "{path}: {link}");
        }
    }
}

#[test]
fn the_guide_lists_every_close_code_with_its_name() {
    let server = TestServer::start(config());
    let protocol = server.get("/guide/protocol").body;
    for code in CloseCode::ALL {
        let row = format!("<td>{}</td><td>{}</td>", code.number(), code.name());
        assert!(protocol.contains(&row), "{row}");
    }
}

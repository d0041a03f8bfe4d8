//! Renders the guide (`guide/*.md`) to HTML, which the server serves at `/guide`.
//!
//! A chapter is a file `NN-name.md`: chapters are ordered by their numbers, and their address is
//! `/guide/name`. Links between chapters are written as links between the files
//! (`20-prediction.md#smoothing`), so that they work in a repository browser, too. A link to a chapter or
//! heading that does not exist fails the build.

use pulldown_cmark::{CodeBlockKind, CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};
use std::{collections::BTreeSet, env, error::Error, fmt::Write, fs, path::Path};

struct Chapter {
    /// Its name in the folder.
    file: String,
    /// The last part of its address.
    name: String,
    title: String,
    body: String,
    /// The ids of its headings.
    headings: BTreeSet<String>,
    /// The files and headings that it links to.
    links: Vec<(String, Option<String>)>,
}

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=guide");
    let mut files: Vec<String> = fs::read_dir("guide")?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".md"))
        .collect();
    files.sort();
    let chapters = files.into_iter().map(chapter).collect::<Result<Vec<_>, _>>()?;
    check_links(&chapters)?;
    let mut code = String::from("&[\n");
    for (n, chapter) in chapters.iter().enumerate() {
        writeln!(code, "({:?}, {:?}),", address(chapter), page(&chapters, n))?;
    }
    code.push(']');
    fs::write(Path::new(&env::var("OUT_DIR")?).join("guide.rs"), code)?;
    Ok(())
}

fn address(chapter: &Chapter) -> String {
    if chapter.name == "index" { "/guide".to_owned() } else { format!("/guide/{}", chapter.name) }
}

/// `10-first-game.md` is `first-game`.
fn name_of(file: &str) -> &str {
    let name = file.trim_end_matches(".md");
    name.split_once('-').map_or(name, |(_, name)| name)
}

fn chapter(file: String) -> Result<Chapter, Box<dyn Error>> {
    let text = fs::read_to_string(Path::new("guide").join(&file))?;
    let name = name_of(&file).to_owned();
    let mut chapter = Chapter {
        file,
        name,
        title: String::new(),
        body: String::new(),
        headings: BTreeSet::new(),
        links: Vec::new(),
    };
    let mut events: Vec<Event<'_>> = Parser::new_ext(&text, Options::ENABLE_TABLES).collect();
    for n in 0..events.len() {
        match &events[n] {
            Event::Start(Tag::Heading { level, .. }) => {
                let level = *level;
                let heading = plain_text(&events[n + 1..]);
                let id = slug(&heading);
                if level == HeadingLevel::H1 {
                    chapter.title.clone_from(&heading);
                }
                if let Event::Start(Tag::Heading { id: place, .. }) = &mut events[n] {
                    *place = Some(id.clone().into());
                }
                chapter.headings.insert(id);
            }
            Event::Start(Tag::Link { dest_url, .. })
                if !dest_url.contains("://") && !dest_url.starts_with('/') =>
            {
                let (file, heading) =
                    dest_url.split_once('#').map_or((&**dest_url, None), |(f, h)| (f, Some(h)));
                let file = if file.is_empty() { &chapter.file } else { file };
                let target = (file.to_owned(), heading.map(str::to_owned));
                let address = match name_of(&target.0) {
                    "index" => "/guide".to_owned(),
                    name => format!("/guide/{name}"),
                };
                let address = target.1.as_ref().map_or_else(|| address.clone(), |h| format!("{address}#{h}"));
                chapter.links.push(target);
                if let Event::Start(Tag::Link { dest_url, .. }) = &mut events[n] {
                    *dest_url = CowStr::from(address);
                }
            }
            _ => {}
        }
    }
    if chapter.title.is_empty() {
        return Err(format!("guide/{} has no title (`# …`)", chapter.file).into());
    }
    hide_lines(&mut events);
    html::push_html(&mut chapter.body, events.into_iter());
    // A wide table or a long line of code scrolls separately, also with the keyboard.
    chapter.body = chapter.body.replace("<pre>", "<pre tabindex=\"0\">");
    Ok(chapter)
}

/// Removes lines of Rust code that only the compiler needs, as rustdoc does: those that begin with `# `.
fn hide_lines(events: &mut [Event<'_>]) {
    let mut rust = false;
    for event in events {
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => rust = info.starts_with("rust"),
            Event::End(TagEnd::CodeBlock) => rust = false,
            Event::Text(text) if rust => {
                let shown =
                    text.split_inclusive('\n').filter(|line| !line.starts_with("# ") && line.trim() != "#");
                *text = shown.collect::<String>().into();
            }
            _ => {}
        }
    }
}

/// The text of a heading, whose events come first in these.
fn plain_text(events: &[Event<'_>]) -> String {
    let within = events.iter().take_while(|event| !matches!(event, Event::End(TagEnd::Heading(_))));
    within
        .filter_map(|event| match event {
            Event::Text(text) | Event::Code(text) => Some(&**text),
            _ => None,
        })
        .collect()
}

/// The id of a heading, as GitHub generates it.
fn slug(heading: &str) -> String {
    let lower = heading.to_lowercase();
    let kept = lower.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn check_links(chapters: &[Chapter]) -> Result<(), Box<dyn Error>> {
    for Chapter { file, links, .. } in chapters {
        for (target, heading) in links {
            let found = chapters.iter().find(|chapter| chapter.file == *target);
            let found = found.ok_or_else(|| format!("guide/{file}: there is no chapter {target}"))?;
            if let Some(heading) = heading
                && !found.headings.contains(heading)
            {
                return Err(format!("guide/{file}: {target} has no heading #{heading}").into());
            }
        }
    }
    Ok(())
}

fn page(chapters: &[Chapter], n: usize) -> String {
    let chapter = &chapters[n];
    let link = |chapter: &Chapter, more: &str| {
        format!("<a href=\"{}\"{more}>{}</a>", address(chapter), escaped(&chapter.title))
    };
    let list: String = chapters
        .iter()
        .enumerate()
        .map(|(k, c)| format!("<li>{}\n", link(c, if k == n { " aria-current=\"page\"" } else { "" })))
        .collect();
    let before = n.checked_sub(1).map_or_else(String::new, |k| link(&chapters[k], " rel=\"prev\""));
    let after = chapters.get(n + 1).map_or_else(String::new, |c| link(c, " rel=\"next\""));
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title} · Driftless</title>\n<link rel=\"stylesheet\" href=\"/assets/guide.css\">\n\
         <a class=\"skip\" href=\"#text\">Skip to the text</a>\n\
         <a class=\"chapters\" href=\"#chapters\">All chapters</a>\n\
         <nav id=\"chapters\" aria-label=\"Chapters\"><strong>Driftless: the guide</strong>\n<ol>\n{list}</ol></nav>\n\
         <main id=\"text\">\n{body}<footer>{before}<span></span>{after}</footer>\n</main>\n</html>\n",
        title = escaped(&chapter.title),
        body = chapter.body,
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

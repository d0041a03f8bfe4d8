//! Pages of the lobby that somebody reads live. Each is made once a time, however many read it, and not by
//! those who read: a thread that accepts connections has no time for the filters of all of them.

use super::{LobbyQuery, Page, Rooms, changes};
use bytes::Bytes;
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::{Notify, watch};

/// A page, as those who read it were told.
pub(crate) struct LivePage {
    pub(crate) page: Page,
    /// Pages before it. Each follows a change.
    number: u64,
    /// What has changed since the page before, as JSON.
    changes: Bytes,
}

/// Tells of the newest page. There is none before it has been made.
pub(crate) type PageReader = watch::Receiver<Option<Arc<LivePage>>>;
type PageTeller = watch::Sender<Option<Arc<LivePage>>>;

/// The pages that somebody reads.
#[derive(Default)]
pub(crate) struct LivePages {
    pages: Mutex<Vec<(Arc<LobbyQuery>, PageTeller)>>,
    /// Told when there is one that has not been made.
    new: Notify,
}

impl LivePages {
    /// Reads a page from now on.
    pub(crate) fn read(&self, wanted: LobbyQuery) -> PageReader {
        let mut pages = self.pages.lock();
        let known = pages.iter().find(|(known, _)| **known == wanted);
        let mut reader = known.map(|(_, page)| page.subscribe()).unwrap_or_else(|| {
            let (page, reader) = watch::channel(None);
            pages.push((Arc::new(wanted), page));
            self.new.notify_one();
            reader
        });
        reader.mark_changed();
        reader
    }

    /// Whether nobody reads.
    pub(crate) fn is_empty(&self) -> bool {
        self.pages.lock().is_empty()
    }

    /// Waits until there is one that has not been made.
    pub(crate) async fn newcomer(&self) {
        self.new.notified().await;
    }

    /// Makes the pages: those that were not made yet, or all. Forgets those that nobody reads any more.
    pub(crate) fn make(&self, rooms: &Rooms, all: bool) {
        let pages = {
            let mut pages = self.pages.lock();
            pages.retain(|(_, page)| page.receiver_count() > 0);
            pages.clone()
        };
        for (wanted, page) in pages {
            let had = page.borrow().clone();
            if had.is_none() || all {
                // Without a change, nobody is woken.
                if let Some(next) = LivePage::after(had.as_deref(), wanted.of(rooms)) {
                    page.send_replace(Some(Arc::new(next)));
                }
            }
        }
    }
}

impl LivePage {
    /// The page after this one. None: nothing has changed.
    fn after(had: Option<&Self>, page: Page) -> Option<Self> {
        let Some(had) = had else { return Some(Self { page, number: 0, changes: Bytes::new() }) };
        let changes = had.changes_to(&page)?;
        Some(Self { page, number: had.number + 1, changes })
    }

    /// What has changed since somebody had this page.
    pub(crate) fn changes_since(&self, had: &Self) -> Option<Bytes> {
        // Who reads slowly has missed some.
        if self.number == had.number + 1 { Some(self.changes.clone()) } else { had.changes_to(&self.page) }
    }

    fn changes_to(&self, page: &Page) -> Option<Bytes> {
        let changes = changes(&self.page.rooms, &page.rooms);
        (!changes.is_empty()).then(|| serde_json::to_vec(&changes).unwrap_or_default().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::{filter::Filter, lobby::sorted, open_room::tests::room};

    fn wanted(filter: &str) -> LobbyQuery {
        LobbyQuery { kind: None, filter: Some(Filter::parse(filter).unwrap()), after: None, limit: 100 }
    }

    fn told(reader: &mut PageReader) -> Arc<LivePage> {
        assert!(reader.has_changed().unwrap());
        reader.borrow_and_update().clone().expect("it is made")
    }

    #[test]
    fn a_page_is_made_once_for_all_who_read_it_and_told_when_it_changes() {
        let live = LivePages::default();
        let (mut ann, mut bob) = (live.read(wanted("players > 2")), live.read(wanted("players  >  2")));
        let mut eve = live.read(wanted("players > 3"));
        assert_eq!(live.pages.lock().len(), 2);
        let rooms = |players: &[u32]| {
            let named = players.iter().enumerate().map(|(n, players)| room(&format!("r{n}"), *players));
            sorted(named.collect())
        };
        live.make(&rooms(&[1, 3, 4]), true);
        let (first, his) = (told(&mut ann), told(&mut bob));
        assert!(Arc::ptr_eq(&first, &his));
        assert_eq!((first.page.rooms.len(), told(&mut eve).page.rooms.len()), (2, 1));
        live.make(&rooms(&[2, 3, 4]), true);
        assert!(!ann.has_changed().unwrap() && !eve.has_changed().unwrap(), "not in these pages");
        live.make(&rooms(&[3, 3, 4]), true);
        assert!(!eve.has_changed().unwrap());
        let (second, his) = (told(&mut ann), told(&mut bob));
        let [changes, to_him] = [second, his].map(|page| page.changes_since(&first).unwrap());
        assert_eq!(changes.as_ptr(), to_him.as_ptr(), "one text");
        assert!(String::from_utf8_lossy(&changes).starts_with(r#"{"rooms":[{"name":"r0""#));
        live.make(&rooms(&[3, 2, 4]), true);
        // One who was slow is told all that has changed, and one who is new has the newest.
        let third = told(&mut bob);
        let missed = String::from_utf8(third.changes_since(&first).unwrap().to_vec()).unwrap();
        assert!(missed.contains(r#""name":"r0""#) && missed.ends_with(r#""gone":["r1"]}"#), "{missed}");
        let mut late = live.read(wanted("players > 2"));
        assert!(Arc::ptr_eq(&told(&mut late), &third));
        drop((ann, bob, late));
        live.make(&rooms(&[]), true);
        assert_eq!(live.pages.lock().len(), 1);
    }

    #[test]
    fn for_a_new_reader_only_his_page_is_made() {
        let live = LivePages::default();
        let mut ann = live.read(wanted("players > 2"));
        live.make(&sorted(vec![room("a", 3)]), true);
        told(&mut ann);
        let mut bob = live.read(wanted("players > 3"));
        live.make(&sorted(vec![room("a", 4)]), false);
        assert_eq!(told(&mut bob).page.rooms.len(), 1);
        assert!(!ann.has_changed().unwrap());
    }
}

//! A file that is too long to be kept in memory.

use super::super::{
    file::{Freshness, PIECE, head},
    media::media_type,
};
use actix_web::{
    HttpRequest, HttpResponse,
    body::SizedStream,
    http::{Method, header::HeaderValue},
    web,
};
use bytes::Bytes;
use futures_util::stream::unfold;
use std::{
    fs::{File, Metadata},
    io::{self, Read as _, Seek as _, SeekFrom},
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

/// By this one sees that a file has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    modified: SystemTime,
    pub(super) length: u64,
}

impl Stamp {
    pub(super) fn of(metadata: &Metadata) -> io::Result<Self> {
        Ok(Self { modified: metadata.modified()?, length: metadata.len() })
    }
}

/// A file that is read from the disk while it is sent. Between two pieces it is not open, so slow readers
/// take no descriptors.
#[derive(Debug, Clone)]
pub(super) struct Large {
    pub(super) path: PathBuf,
    pub(super) stamp: Stamp,
}

impl Large {
    pub(super) fn answer(
        self,
        request: &HttpRequest,
        policy: HeaderValue,
        freshness: Freshness,
    ) -> HttpResponse {
        let content_type = media_type(&self.path.to_string_lossy()).0;
        let (mut response, unchanged) = head(request, &self.tag(), policy, freshness);
        if unchanged {
            return response.finish();
        }
        let length = self.stamp.length;
        // An answer to HEAD has a length, too, but nothing is read for it.
        let begin = if request.method() == Method::HEAD { length } else { 0 };
        let pieces = unfold((self, begin), |(file, at)| async move {
            if at >= file.stamp.length {
                return None;
            }
            let read = web::block(move || (file.piece(at), file)).await;
            let (piece, file) = match read {
                Ok((Ok(piece), file)) => (piece, file),
                Ok((Err(error), file)) => return Some((Err(error), (file, u64::MAX))),
                Err(_) => return None,
            };
            let next = at + piece.len() as u64;
            Some((Ok(piece), (file, next)))
        });
        response.content_type(content_type).body(SizedStream::new(length, Box::pin(pieces)))
    }

    fn tag(&self) -> String {
        let modified = self.stamp.modified.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        format!("\"{modified:x}-{:x}\"", self.stamp.length)
    }

    /// The bytes from this position on. Blocks. Fails if the file has changed, because a mixture of two files
    /// would be worse than half of one.
    fn piece(&self, at: u64) -> io::Result<Bytes> {
        let mut file = File::open(&self.path)?;
        if Stamp::of(&file.metadata()?)? != self.stamp {
            return Err(io::Error::other("the file has changed while it was sent"));
        }
        file.seek(SeekFrom::Start(at))?;
        let length = self.stamp.length.saturating_sub(at).min(PIECE as u64);
        let mut piece = vec![0; length as usize];
        file.read_exact(&mut piece)?;
        Ok(piece.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn pieces_make_up_the_file_until_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.wasm");
        let content: Vec<u8> = (0..PIECE as u32 + 10).map(|n| (n % 251) as u8).collect();
        fs::write(&path, &content).unwrap();
        let stamp = Stamp::of(&fs::metadata(&path).unwrap()).unwrap();
        let large = Large { path: path.clone(), stamp };
        let first = large.piece(0).unwrap();
        assert_eq!(first.len(), PIECE);
        assert_eq!([first, large.piece(PIECE as u64).unwrap()].concat(), content);
        fs::write(&path, [&content[..], b"longer"].concat()).unwrap();
        assert!(large.piece(0).is_err());
    }
}

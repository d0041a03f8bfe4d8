//! Shortens what fails. (The server's own tests have it, too.)

/// As few of these acts as still fail.
pub(crate) fn shortest<T: Clone>(acts: &[T], fails: impl Fn(&[T]) -> bool) -> Vec<T> {
    let mut best = acts.to_vec();
    let mut chunk = best.len().div_ceil(2);
    while chunk > 0 {
        let mut at = 0;
        while at < best.len() {
            let mut shorter = best.clone();
            shorter.drain(at..(at + chunk).min(best.len()));
            if fails(&shorter) {
                best = shorter;
            } else {
                at += chunk;
            }
        }
        chunk /= 2;
    }
    best
}

//! What a file is, by its name.

/// Its media type, and whether packing it makes it smaller.
pub(super) fn media_type(path: &str) -> (&'static str, bool) {
    let name = path.rsplit('/').next().unwrap_or(path);
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending).to_ascii_lowercase();
    match ending.as_str() {
        "html" | "htm" => ("text/html; charset=utf-8", true),
        "js" | "mjs" => ("text/javascript; charset=utf-8", true),
        "css" => ("text/css; charset=utf-8", true),
        "wasm" => ("application/wasm", true),
        "json" | "map" => ("application/json", true),
        "webmanifest" => ("application/manifest+json", true),
        "txt" | "md" => ("text/plain; charset=utf-8", true),
        "xml" => ("application/xml", true),
        "svg" => ("image/svg+xml", true),
        "png" => ("image/png", false),
        "jpg" | "jpeg" => ("image/jpeg", false),
        "gif" => ("image/gif", false),
        "webp" => ("image/webp", false),
        "avif" => ("image/avif", false),
        "ico" => ("image/vnd.microsoft.icon", true),
        "mp3" => ("audio/mpeg", false),
        "ogg" | "oga" | "opus" => ("audio/ogg", false),
        "wav" => ("audio/wav", true),
        "m4a" => ("audio/mp4", false),
        "mp4" => ("video/mp4", false),
        "webm" => ("video/webm", false),
        "woff" => ("font/woff", false),
        "woff2" => ("font/woff2", false),
        "ttf" => ("font/ttf", true),
        "otf" => ("font/otf", true),
        "gltf" => ("model/gltf+json", true),
        "glb" => ("model/gltf-binary", true),
        _ => ("application/octet-stream", true),
    }
}

#[cfg(test)]
mod tests {
    use super::media_type;

    #[test]
    fn the_last_ending_counts_and_only_of_the_file() {
        for (path, is) in [
            ("game_bg.wasm", "application/wasm"),
            ("a.b/c.tar.JS", "text/javascript; charset=utf-8"),
            ("a.js/b", "application/octet-stream"),
            ("js", "application/octet-stream"),
            ("", "application/octet-stream"),
        ] {
            assert_eq!(media_type(path).0, is, "{path:?}");
        }
    }
}

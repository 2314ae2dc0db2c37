//! A file, whole or in part (RFC 9110 §14): players skip in it, boxes fetch the rest of it.

use std::io::SeekFrom;
use std::path::Path;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use super::error::ApiError;

/// Read and sent at a time.
const PIECE: u64 = 256 * 1024;

/// What was asked for of a file; `None` where there is none.
pub async fn serve(path: &Path, content_type: &'static str, headers: &HeaderMap) -> Result<Option<Response>, ApiError> {
    let Ok(mut file) = File::open(path).await else { return Ok(None) };
    let len = file.metadata().await.map_err(ApiError::internal)?.len();
    let wanted = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    let common = [(header::ACCEPT_RANGES, "bytes"), (header::CONTENT_TYPE, content_type)];
    let (status, from, count) = match range(wanted, len) {
        Wanted::All => (StatusCode::OK, 0, len),
        Wanted::Part { from, count } => (StatusCode::PARTIAL_CONTENT, from, count),
        Wanted::Impossible => {
            let all = [(header::CONTENT_RANGE, format!("bytes */{len}"))];
            return Ok(Some((StatusCode::RANGE_NOT_SATISFIABLE, all).into_response()));
        }
    };
    file.seek(SeekFrom::Start(from)).await.map_err(ApiError::internal)?;
    let mut response = (status, common, Body::from_stream(pieces(file, count))).into_response();
    response.headers_mut().insert(header::CONTENT_LENGTH, count.into());
    if status == StatusCode::PARTIAL_CONTENT {
        let part = format!("bytes {from}-{}/{len}", from + count - 1);
        response.headers_mut().insert(header::CONTENT_RANGE, part.parse().map_err(ApiError::internal)?);
    }
    Ok(Some(response))
}

fn pieces(file: File, count: u64) -> impl stream::Stream<Item = std::io::Result<Bytes>> {
    stream::unfold((file, count), async |(mut file, left)| {
        if left == 0 {
            return None;
        }
        let mut piece = vec![0; left.min(PIECE) as usize];
        match file.read(&mut piece).await {
            // Shorter than it was: the connection is cut, which the client notices by the length.
            Ok(0) => Some((Err(std::io::ErrorKind::UnexpectedEof.into()), (file, 0))),
            Ok(len) => {
                piece.truncate(len);
                Some((Ok(piece.into()), (file, left - len as u64)))
            }
            Err(error) => Some((Err(error), (file, 0))),
        }
    })
}

#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    All,
    Part { from: u64, count: u64 },
    Impossible,
}

/// One range of bytes (RFC 9110 §14). Several ranges, other units and nonsense are answered with the whole file.
fn range(header: Option<&str>, len: u64) -> Wanted {
    let Some((from, to)) =
        header.and_then(|text| text.trim().strip_prefix("bytes=")).and_then(|text| text.split_once('-'))
    else {
        return Wanted::All;
    };
    let (from, end) = match (from.trim().parse::<u64>(), to.trim().parse::<u64>()) {
        (Ok(from), Ok(to)) if from <= to => (from, to.saturating_add(1).min(len)),
        (Ok(from), Err(_)) if to.trim().is_empty() => (from, len),
        (Err(_), Ok(last)) if from.trim().is_empty() => (len.saturating_sub(last), len),
        _ => return Wanted::All,
    };
    if from >= end { Wanted::Impossible } else { Wanted::Part { from, count: end - from } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_what_rfc_9110_says() {
        let part = |from, count| Wanted::Part { from, count };
        assert_eq!(range(None, 10), Wanted::All);
        assert_eq!(range(Some("bytes=0-"), 10), part(0, 10));
        assert_eq!(range(Some("bytes=2-4"), 10), part(2, 3));
        assert_eq!(range(Some("bytes=2-400"), 10), part(2, 8));
        assert_eq!(range(Some("bytes=-3"), 10), part(7, 3));
        assert_eq!(range(Some("bytes=-30"), 10), part(0, 10));
        assert_eq!(range(Some("bytes=10-"), 10), Wanted::Impossible);
        assert_eq!(range(Some("bytes=-0"), 10), Wanted::Impossible);
        assert_eq!(range(Some("bytes=0-0"), 0), Wanted::Impossible);
        for nonsense in ["bytes=5-2", "bytes=0-1,3-4", "items=0-1", "bytes", "bytes=a-b", "bytes=18446744073709551616-"]
        {
            assert_eq!(range(Some(nonsense), 10), Wanted::All, "{nonsense}");
        }
        assert_eq!(range(Some("bytes=0-18446744073709551615"), 10), part(0, 10));
    }
}

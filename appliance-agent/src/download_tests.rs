//! Against a server that breaks off, knows ranges or not, and sends something else.

use std::io::Write as _;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;

use super::*;

/// Serves `answers` one after the other: a status line with headers, and a body. Returns the URL and what was asked
/// for as `Range`.
fn serve(answers: Vec<(&'static str, Vec<u8>)>) -> (String, std::thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/b.raucb", listener.local_addr().unwrap());
    let thread = std::thread::spawn(move || {
        let answer = |(head, body): (&str, Vec<u8>)| {
            let (mut stream, _) = listener.accept().unwrap();
            let mut ranges = String::new();
            for line in BufReader::new(&stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty()) {
                if let Some((name, value)) = line.split_once(": ")
                    && name.eq_ignore_ascii_case("range")
                {
                    ranges = value.to_owned();
                }
            }
            stream.write_all(format!("HTTP/1.1 {head}\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
            stream.write_all(&body).unwrap();
            ranges
        };
        answers.into_iter().map(answer).collect()
    });
    (url, thread)
}

fn bundle() -> Vec<u8> {
    (0..=255).cycle().take(10_000).collect()
}

fn order(url: String) -> Update {
    let sha256 = hex(digest::digest(&digest::SHA256, &bundle()).as_ref());
    Update { version: "2".into(), url, bytes: 10_000, sha256 }
}

#[test]
fn a_download_that_broke_off_goes_on_where_it_ended() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("b");
    let (url, asked) = serve(vec![
        ("200 OK\r\nContent-Length: 10000", bundle()[..4_000].to_vec()),
        ("206 Partial Content\r\nContent-Length: 6000", bundle()[4_000..].to_vec()),
    ]);
    let order = order(url);
    assert!(matches!(fetch(&order, &file, ""), Err(Failed::Passing(_))));
    fetch(&order, &file, "").unwrap();
    compare(&order, &file).unwrap();
    assert_eq!(asked.join().unwrap(), ["bytes=0-", "bytes=4000-"]);
    // What is there as a whole is not asked for again: nobody listens any more.
    fetch(&order, &file, "").unwrap();
}

#[test]
fn a_server_without_ranges_sends_all_of_it_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("b");
    std::fs::write(&file, "half of something").unwrap();
    let (url, _asked) = serve(vec![("200 OK\r\nContent-Length: 10000", bundle())]);
    let order = order(url);
    fetch(&order, &file, "").unwrap();
    compare(&order, &file).unwrap();
}

#[test]
fn what_does_not_exist_is_final_and_a_server_in_trouble_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("b");
    let (url, _asked) = serve(vec![("404 Not Found", vec![]), ("503 Service Unavailable", vec![])]);
    let order = order(url);
    let gone = fetch(&order, &file, "").unwrap_err();
    assert!(matches!(gone, Failed::Final { fault: UpdateFault::Download, .. }), "{gone}");
    assert!(matches!(fetch(&order, &file, ""), Err(Failed::Passing(_))));
}

#[test]
fn another_file_than_was_ordered_is_altered() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("b");
    let order = order(String::new());
    let altered = |what: &str| {
        let compared = compare(&order, &file).unwrap_err();
        assert!(matches!(compared, Failed::Final { fault: UpdateFault::Altered, .. }), "{what}: {compared}");
    };
    altered("nothing there");
    let mut other = bundle();
    other[5_000] ^= 1;
    std::fs::write(&file, &other).unwrap();
    altered("one bit");
    other.push(0);
    std::fs::write(&file, &other).unwrap();
    altered("one byte more");
    std::fs::write(&file, bundle()).unwrap();
    compare(&order, &file).unwrap();
}

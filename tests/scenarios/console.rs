//! An operator works in the browser: logs in, sees every box live, runs a session and watches it, plays its record.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use scenarios::browser::Browser;
use scenarios::running::Running;
use serde_json::{Value, json};
use xtask::stack::Stack;

const SOON: Duration = Duration::from_secs(20);
const START: Duration = Duration::from_mins(1);
/// A picture counts as moving when its pixels differ by this much (of 255) on average, somewhere between two looks.
const MOVED: f64 = 1.0;

/// Looks at a `<video>`: frames decoded so far, its time, and a small grey copy of what it shows.
const LOOK: &str = "
    const video = document.querySelector(args[0]);
    const canvas = new OffscreenCanvas(32, 18);
    const context = canvas.getContext('2d', { willReadFrequently: true });
    context.drawImage(video, 0, 0, 32, 18);
    const { data } = context.getImageData(0, 0, 32, 18);
    const grey = [];
    for (let i = 0; i < data.length; i += 4) grey.push((data[i] + data[i + 1] + data[i + 2]) / 3);
    return { frames: video.getVideoPlaybackQuality().totalVideoFrames, time: video.currentTime, width: video.videoWidth, height: video.videoHeight, grey };
";

struct Look {
    frames: u64,
    time: f64,
    size: (u64, u64),
    grey: Vec<f64>,
}

fn look(browser: &Browser, video: &str) -> Result<Look> {
    let seen = browser.run(LOOK, &[json!(video)])?;
    let grey = seen["grey"].as_array().context("no pixels")?.iter().filter_map(Value::as_f64).collect();
    Ok(Look {
        frames: seen["frames"].as_u64().unwrap_or_default(),
        time: seen["time"].as_f64().unwrap_or_default(),
        size: (seen["width"].as_u64().unwrap_or_default(), seen["height"].as_u64().unwrap_or_default()),
        grey,
    })
}

/// Mean difference of two looks, 0 to 255.
fn difference(a: &Look, b: &Look) -> f64 {
    a.grey.iter().zip(&b.grey).map(|(a, b)| (a - b).abs()).sum::<f64>() / a.grey.len() as f64
}

/// How much a look is more than one colour.
fn contrast(look: &Look) -> f64 {
    let mean = look.grey.iter().sum::<f64>() / look.grey.len() as f64;
    look.grey.iter().map(|value| (value - mean).abs()).sum::<f64>() / look.grey.len() as f64
}

/// Watches a `<video>` until it has shown so many more frames and its pixels have moved; gives the last look and the time that it took.
fn see_it_move(browser: &Browser, video: &str, frames: u64) -> Result<(Look, Duration)> {
    browser.wait(
        &format!("a picture in {video}"),
        START,
        "const v = document.querySelector(args[0]); return v?.readyState >= 2 && v.videoWidth > 0",
        &[json!(video)],
    )?;
    let first = look(browser, video)?;
    let began = Instant::now();
    let (mut last, mut most) = (look(browser, video)?, 0.0_f64);
    while last.frames < first.frames + frames || most < MOVED {
        ensure!(
            began.elapsed() < START,
            "{video}: {} new frames, pixels moved by {most:.2}; wanted {frames} and {MOVED}",
            last.frames - first.frames
        );
        std::thread::sleep(Duration::from_millis(200)); // the picture moves in its own time
        last = look(browser, video)?;
        most = most.max(difference(&first, &last));
    }
    ensure!(contrast(&last) > 5.0, "{video} shows one colour");
    Ok((last, began.elapsed()))
}

/// The loudest sample of the program's sound within a second and a half.
fn hear(browser: &Browser) -> Result<f64> {
    let loudest = browser.run(
        "const context = new AudioContext();
         await context.resume();
         const tap = context.createAnalyser();
         context.createMediaStreamSource(document.querySelector('#live').srcObject).connect(tap);
         const samples = new Float32Array(tap.fftSize);
         let loudest = 0;
         for (let n = 0; n < 60; n += 1) {
           await new Promise((next) => setTimeout(next, 25));
           tap.getFloatTimeDomainData(samples);
           for (const sample of samples) loudest = Math.max(loudest, Math.abs(sample));
         }
         await context.close();
         return loudest;",
        &[],
    )?;
    loudest.as_f64().context("no sound level")
}

fn log_in(browser: &Browser, stack: &Stack) -> Result<()> {
    browser.open(&stack.centre().url)?;
    browser.reads("h1", "Đăng nhập")?;
    browser.type_into("#user", &stack.centre().user)?;
    browser.type_into("#password", "not the password")?;
    browser.click("#login")?;
    browser.wait(
        "a refusal",
        SOON,
        "return document.querySelector('.form-says').textContent.includes('không đúng')",
        &[],
    )?;
    browser.type_into("#password", &stack.centre().password)?;
    browser.click("#login")?;
    browser.wait("the table of sites", SOON, "return Boolean(document.querySelector('table.sites'))", &[])?;
    browser.reads("#who", &stack.centre().user)?;
    Ok(())
}

/// Each box is there with figures that stay fresh.
fn see_boxes_live(browser: &Browser, codes: &[String]) -> Result<()> {
    for code in codes {
        let row = format!("tr[data-site=\"{code}\"]");
        browser.wait(
            &format!("{code} online"),
            SOON,
            "return document.querySelector(args[0])?.classList.contains('online')",
            &[json!(row)],
        )?;
        let figures = |cell: &str| {
            browser.wait(
                &format!("{cell} of {code}"),
                SOON,
                "const text = document.querySelector(args[0]).textContent; return /\\d/.test(text) && text",
                &[json!(format!("{row} .c-{cell}"))],
            )
        };
        for cell in ["cpu", "disk", "version", "clock"] {
            figures(cell)?;
        }
    }
    // For ten seconds every figure of every box stays younger than ten seconds.
    let oldest = browser.run(
        "let oldest = 0;
         for (let n = 0; n < 20; n += 1) {
           for (const cell of document.querySelectorAll('tr.online .age')) oldest = Math.max(oldest, Number(cell.textContent.match(/\\d+/)[0]) + (/giây/.test(cell.textContent) ? 0 : 1000));
           await new Promise((next) => setTimeout(next, 500));
         }
         return oldest;",
        &[],
    )?;
    ensure!(oldest.as_u64().is_some_and(|s| s <= 10), "figures are up to {oldest} s old");
    Ok(())
}

/// A button that is held moves a site's camera, one that is let go of stops it.
fn move_a_camera(browser: &Browser, running: &Running, code: &str, pictures: Option<&Path>) -> Result<()> {
    let camera = running.at(code)?.camera.clone();
    let drives = |wanted: bool| {
        let stands = || -> Result<bool> {
            let state: Value = serde_json::from_slice(&std::fs::read(&camera)?)?;
            Ok(state["driving"] == wanted)
        };
        running.wait(if wanted { "it moves" } else { "it stands" }, SOON, stands)
    };
    browser.click(&format!("tr[data-site=\"{code}\"] .c-act button"))?;
    browser.wait("the camera's buttons", SOON, "return Boolean(document.querySelector('[data-move=right]'))", &[])?;
    if let Some(folder) = pictures {
        browser.screenshot(&folder.join("camera.png"))?;
    }
    let press = |event: &str| {
        let script =
            "document.querySelector('[data-move=right]').dispatchEvent(new KeyboardEvent(args[0], { key: ' ' }))";
        browser.run(script, &[json!(event)])
    };
    press("keydown")?;
    drives(true)?;
    // Longer than a drive lasts that nobody asks for again.
    std::thread::sleep(Duration::from_millis(1_500));
    drives(true)?;
    press("keyup")?;
    drives(false)?;
    browser.click("dialog .actions .primary")?;
    Ok(())
}

fn switch_language(browser: &Browser) -> Result<()> {
    browser.click("#lang-en")?;
    browser.reads("h1", "Sites")?;
    assert_eq!(browser.run("return document.documentElement.lang", &[])?, "en");
    browser.click("#lang-vi")?;
    browser.reads("h1", "Điểm cầu")?;
    Ok(())
}

/// A session is planned for two sites, and taken out of the plan again.
fn plan_a_session(browser: &Browser, codes: &[String], pictures: Option<&Path>) -> Result<()> {
    browser.click("main details summary")?;
    browser.type_into("#planned-title", "Tiếp công dân định kỳ tháng 12")?;
    // A field for a day and a time takes keys in the order of the browser's own language.
    let fill = "document.querySelector('#planned-at').value = '2030-12-03T08:00';
                for (const box of document.querySelectorAll('#planned-sites input')) box.checked = args[0].includes(box.value);";
    browser.run(fill, &[json!(codes[..2])])?;
    browser.click("#planned-add")?;
    browser.wait(
        "the planned session",
        SOON,
        "const text = document.querySelector('#planned')?.innerText ?? ''; return text.includes('03/12/2030') && text.includes('Tiếp công dân định kỳ tháng 12')",
        &[],
    )?;
    if let Some(folder) = pictures {
        browser.screenshot(&folder.join("planned.png"))?;
    }
    let planned = "return await (await fetch('/api/planned')).json()";
    let told = browser.run(planned, &[])?;
    let chosen = told[0]["sites"].as_array().context("its sites")?;
    assert!(chosen.len() == 2 && codes[..2].iter().all(|code| chosen.contains(&json!(code))), "{told}");
    let here = browser.run("return new Date('2030-12-03T08:00').getTime()", &[])?;
    assert_eq!(told[0]["at_ms"], here);
    browser.click("#planned button")?;
    browser.wait("an empty plan", SOON, "return !document.querySelector('#planned li')", &[])?;
    assert_eq!(browser.run(planned, &[])?, json!([]));
    Ok(())
}

/// Starts a session with everybody, watches and hears it; gives its id.
fn run_a_session(browser: &Browser, codes: &[String], pictures: Option<&Path>) -> Result<String> {
    browser.click("#nav-sessions")?;
    browser.wait(
        "every online site chosen",
        SOON,
        "return document.querySelectorAll('.pick input:checked').length === args[0]",
        &[json!(codes.len())],
    )?;
    plan_a_session(browser, codes, pictures)?;
    browser.click("#start")?;
    browser.wait("the session's page", SOON, "return Boolean(document.querySelector('#live'))", &[])?;
    let id = browser
        .run("return decodeURIComponent(location.hash.split('/').pop())", &[])?
        .as_str()
        .unwrap_or_default()
        .to_owned();
    browser.wait(
        "the sign for on record",
        START,
        "return document.querySelector('#on-record').classList.contains('on')",
        &[],
    )?;
    browser.wait(
        "every site in",
        START,
        "return document.querySelectorAll('.members .chip.online').length === args[0]",
        &[json!(codes.len())],
    )?;

    let (live, took) = see_it_move(browser, "#live", 50)?;
    assert_eq!(live.size, (1280, 720));
    ensure!(took < Duration::from_secs(8), "50 frames took {took:?}: the live program stutters");
    assert_eq!(browser.run("return document.querySelector('#live').muted", &[])?, true, "it starts without sound");
    browser.click("#sound")?;
    assert_eq!(browser.run("return document.querySelector('#live').muted", &[])?, false);
    let deadline = Instant::now() + SOON;
    while hear(browser)? < 0.01 {
        ensure!(Instant::now() < deadline, "the program is silent");
    }

    // The language changes without a break of the picture: the same element goes on.
    browser.run("document.querySelector('#live').dataset.same = 'yes'", &[])?;
    browser.click("#lang-en")?;
    browser.reads("#on-record", "On record")?;
    assert_eq!(browser.run("return document.querySelector('#live').dataset.same", &[])?, "yes");
    browser.click("#lang-vi")?;
    see_it_move(browser, "#live", 25)?;
    if let Some(folder) = pictures {
        browser.screenshot(&folder.join("session.png"))?;
    }

    lay_out(browser, &codes[1], pictures)?;
    let mute = format!(".members li[data-site=\"{}\"] .mute", codes[1]);
    let pressed = "return document.querySelector(args[0]).getAttribute('aria-pressed') === args[1]";
    browser.click(&mute)?;
    browser.wait("the site muted", SOON, pressed, &[json!(mute), json!("true")])?;
    browser.click(&mute)?;
    browser.wait("the site open again", SOON, pressed, &[json!(mute), json!("false")])?;
    browser.wait(
        "the muting among the events",
        SOON,
        "return document.querySelector('.events').textContent.includes('Đã tắt micro (từ trung tâm)')",
        &[],
    )?;
    Ok(id)
}

/// Another layout, and another site in its first place; then back to where it was.
fn lay_out(browser: &Browser, pinned: &str, pictures: Option<&Path>) -> Result<()> {
    let choose =
        "const list = document.querySelector('#layout'); list.value = args[0]; list.dispatchEvent(new Event('change'))";
    let is = "const session = (await (await fetch('/api/sessions')).json())[0]; return session.layout === args[0] && session.front === args[1]";
    let pin = format!(".members li[data-site=\"{pinned}\"] .pin");
    browser.wait("the list of layouts", SOON, "return document.querySelector('#layout').options.length >= 6", &[])?;
    browser.run(choose, &[json!("lecture-5")])?;
    browser.wait("one large, five small", SOON, is, &[json!("lecture-5"), Value::Null])?;
    browser.click(&pin)?;
    browser.wait("the pinned site", SOON, is, &[json!("lecture-5"), json!(pinned)])?;
    browser.wait(
        "the pin's sign",
        SOON,
        "return document.querySelector(args[0]).getAttribute('aria-pressed') === 'true'",
        &[json!(pin)],
    )?;
    if let Some(folder) = pictures {
        std::thread::sleep(Duration::from_secs(2)); // the picture takes its time through the browser's buffer
        browser.screenshot(&folder.join("lecture.png"))?;
    }
    browser.click(&pin)?;
    browser.run(choose, &[json!("grid")])?;
    browser.wait("the grid again", SOON, is, &[json!("grid"), Value::Null])?;
    Ok(())
}

/// The centre goes away and comes back: the page says so, and goes on by itself.
fn lose_the_server(browser: &Browser, stack: &Stack) -> Result<()> {
    stack.supervisor().stop(&["server".into()], SOON);
    browser.wait("the sign for a lost server", SOON, "return !document.querySelector('.lost-bar').hidden", &[])?;
    stack.keep_server()?;
    browser.wait(
        "fresh figures again",
        START,
        "return document.querySelector('.lost-bar').hidden && Boolean(document.querySelector('.server.live'))",
        &[],
    )?;
    Ok(())
}

fn play(browser: &Browser, code: Option<&str>) -> Result<()> {
    if let Some(code) = code {
        // as a person does: the file's button plays it
        browser.click(&format!("li[data-file=\"site-{code}.mp4\"] .file-main"))?;
    } else {
        browser.wait("a player", SOON, "return document.querySelector('#player')?.readyState >= 1", &[])?;
        browser.run("await document.querySelector('#player').play()", &[])?;
    }
    let (seen, _) = see_it_move(browser, "#player", 25)?;
    browser.wait(
        "its time going on",
        SOON,
        "return document.querySelector('#player').currentTime > args[0]",
        &[json!(seen.time)],
    )?;
    Ok(())
}

fn open_the_record(browser: &Browser, codes: &[String], pictures: Option<&Path>) -> Result<()> {
    browser.click("#stop")?;
    browser.click("#confirm")?;
    browser.wait("the session's end", START, "return !document.querySelector('.banner.ended').hidden", &[])?;
    browser.click("#to-record")?;
    play(browser, None)?;
    let length = browser.run("return document.querySelector('#player').duration", &[])?;
    ensure!(length.as_f64().is_some_and(|s| (5.0..600.0).contains(&s)), "the program is {length} s long");
    if let Some(folder) = pictures {
        browser.screenshot(&folder.join("record.png"))?;
    }
    for code in codes {
        play(browser, Some(code))?;
    }
    // From the end as well: its fragments are found without reading all of it.
    browser.click("li[data-file=\"program.mp4\"] .file-main")?;
    browser.wait("the program again", SOON, "return document.querySelector('#player').readyState >= 1", &[])?;
    let jumped = browser.run(
        "const player = document.querySelector('#player');
         const found = new Promise((done) => player.addEventListener('seeked', done, { once: true }));
         player.currentTime = player.duration - 2;
         await found;
         return player.currentTime;",
        &[],
    )?;
    browser.wait(
        "the last seconds",
        SOON,
        "const player = document.querySelector('#player'); return player.currentTime > args[0] + 0.5",
        &[jumped],
    )?;

    browser.click("#verify")?;
    browser.wait("the verdict", START, "return Boolean(document.querySelector('.verdict'))", &[])?;
    assert!(browser.text(".verdict")?.starts_with("Bản ghi nguyên vẹn"), "{}", browser.text(".report")?);
    Ok(())
}

#[test]
fn an_operator_runs_a_session_in_the_browser_and_plays_its_record() -> Result<()> {
    let mut running = Running::start("console", 3)?;
    let codes: Vec<String> = running.codes().into_iter().map(str::to_owned).collect();
    // For the README: a folder that gets a picture of each page.
    let pictures = std::env::var_os("BRIDGEPOINT_PICTURES").map(PathBuf::from);

    let browser = Browser::start()?;
    log_in(&browser, &running)?;
    see_boxes_live(&browser, &codes)?;
    move_a_camera(&browser, &running, &codes[1], pictures.as_deref())?;
    switch_language(&browser)?;
    if let Some(folder) = &pictures {
        browser.screenshot(&folder.join("sites.png"))?;
    }
    let refused: Vec<String> = browser.log()?.into_iter().filter(|line| !line.contains("401")).collect();
    assert_eq!(refused, Vec::<String>::new(), "the browser complains");

    run_a_session(&browser, &codes, pictures.as_deref())?;
    open_the_record(&browser, &codes, pictures.as_deref())?;
    let refused: Vec<String> = browser.log()?.into_iter().filter(|line| line.starts_with("SEVERE")).collect();
    assert_eq!(refused, Vec::<String>::new(), "the browser complains");

    lose_the_server(&browser, &running)?;
    browser.click("#logout")?;
    browser.reads("h1", "Đăng nhập")?;
    let status = browser.run("return (await fetch('/api/sites')).status", &[])?;
    assert_eq!(status, 401, "a login that has ended opens nothing");
    browser.quit()?;
    running.end();
    Ok(())
}

//! The report in a real browser. `cargo xtask test` runs this if Chromium is installed; CI installs
//! it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking; the lint exempts only #[test] functions"
)]

mod sweep;

use std::path::{Path, PathBuf};
use std::process::Command;

use liprl_analysis::report::{ReportOptions, report};

/// `LIPRL_BROWSER`, or the first of these on the path.
fn browser() -> PathBuf {
    let named = std::env::var_os("LIPRL_BROWSER").map(PathBuf::from);
    let places = std::env::var_os("PATH").unwrap_or_default();
    let names = ["chromium-headless-shell", "chromium", "google-chrome", "chromium-browser"];
    let found = names.iter().flat_map(|name| std::env::split_paths(&places).map(move |place| place.join(name)));
    let found = found.into_iter().find(|path| path.is_file());
    named
        .or(found)
        .unwrap_or_else(|| panic!("no Chromium: apt-get install chromium-headless-shell, or set LIPRL_BROWSER"))
}

/// Behaviour of a page in the browser.
struct Visit {
    /// Bytes of the screenshot, a PNG.
    picture: usize,
    /// Lines on the console.
    console: Vec<String>,
    /// Addresses outside that it requested.
    requests: Vec<String>,
}

fn visit(page: &Path, folder: &Path, dark: bool) -> Visit {
    let (picture, network) = (folder.join("page.png"), folder.join("network.json"));
    let _ = std::fs::remove_file(&picture);
    let mut command = Command::new(browser());
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--window-size=1100,4000"]);
    command.arg(format!("--user-data-dir={}", folder.join("profile").display()));
    command.arg(format!("--screenshot={}", picture.display())).arg(format!("--log-net-log={}", network.display()));
    command.arg(format!("--blink-settings=preferredColorScheme={}", if dark { 0 } else { 1 }));
    let output = command.arg(format!("file://{}", page.display())).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    let log = std::fs::read_to_string(&network).unwrap();
    // Requests of the browser itself, for updates, do not lead to these names.
    let urls = log.split("\"url\":\"").skip(1).filter_map(|rest| rest.split('"').next());
    Visit {
        picture: std::fs::read(&picture).unwrap_or_else(|_| panic!("no screenshot: {words}")).len(),
        console: words.lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned).collect(),
        requests: urls.filter(|url| url.contains("outside.invalid")).map(str::to_owned).collect(),
    }
}

#[test]
#[ignore = "needs Chromium; cargo xtask test runs it where there is one"]
fn opens_from_a_file_without_complaint_or_network() {
    let root = tempfile::tempdir().unwrap();
    let runs = sweep::write(root.path());
    let page = report(&runs, root.path(), &ReportOptions::default()).unwrap().page;
    for dark in [false, true] {
        let seen = visit(&page, root.path(), dark);
        assert!(seen.console.is_empty(), "{:?}", seen.console);
        assert!(seen.picture > 50_000, "a page full of figures, not {} bytes", seen.picture);
    }
    let blank = root.path().join("blank.html");
    std::fs::write(&blank, "<!doctype html><title>nothing</title>").unwrap();
    assert!(visit(&blank, root.path(), false).picture < 50_000, "an empty page is told from a full one");

    // The test notices a fault and a request: a page with a script and a picture from elsewhere.
    let text = std::fs::read_to_string(&page).unwrap();
    let policy = text.find("<meta http-equiv").unwrap();
    let (head, tail) = text.split_at(policy);
    let tail = tail.split_once('>').unwrap().1;
    let open = root.path().join("open.html");
    let fault = "<script>console.error('fault')</script><img src=\"http://outside.invalid/x.png\">";
    std::fs::write(&open, format!("{head}{}", tail.replace("</body>", &format!("{fault}</body>")))).unwrap();
    let seen = visit(&open, root.path(), false);
    assert!(seen.console.iter().any(|line| line.contains("fault")), "{:?}", seen.console);
    assert!(!seen.requests.is_empty(), "a request outside is seen");

    // The policy of the report prevents both.
    let shut = root.path().join("shut.html");
    std::fs::write(&shut, text.replace("</body>", &format!("{fault}</body>"))).unwrap();
    let seen = visit(&shut, root.path(), false);
    assert!(seen.requests.is_empty(), "{:?}", seen.requests);
    assert!(!seen.console.iter().any(|line| line.contains("\"fault\"")), "{:?}", seen.console);
}

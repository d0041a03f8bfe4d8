use super::*;
use crate::model::{Conditions, Loss};
use std::time::Duration;

fn error(text: &str) -> String {
    Scenario::parse("bad.toml", text).unwrap_err().to_string()
}

#[test]
fn those_that_come_with_the_program_are_sound() {
    for name in Scenario::built_in() {
        let scenario: Scenario = name.parse().unwrap();
        assert!(!scenario.about.is_empty(), "{name}");
    }
}

#[test]
fn the_scenarios_of_the_goals_are_what_they_say() {
    let phases = |name: &str| name.parse::<Scenario>().unwrap().phases;
    let rtt60 = &phases("rtt60-loss5")[0];
    for way in [&rtt60.up, &rtt60.down] {
        assert_eq!((way.latency.as_millis(), way.loss), (30, Loss::Independent(0.05)));
    }
    let narrow = &phases("narrow-12kB")[0];
    assert_eq!((narrow.down.rate, narrow.down.queue), (Some(12_000), 32_000));
    let dark = &phases("blackout-5s")[1];
    assert!(dark.up.black_out && dark.down.black_out);
    assert_eq!(dark.duration, Some(Duration::from_secs(5)));
}

#[test]
fn every_key_is_read() {
    let text = "
        about = 'all'
        seed = 3
        [[phase]]
        seconds = 1.5
        up = { latency_ms = 2.5, jitter_ms = 1, loss_percent = 50 }
        down = { burst = { enter_percent = 1, leave_percent = 20, good_loss_percent = 0.5 }, black_out = true }
        [[phase]]
        down = { reorder_percent = 10, reorder_ms = 7, duplicate_percent = 3, rate_bytes_s = 500, queue_bytes = 4096 }
    ";
    let scenario = Scenario::parse("all", text).unwrap();
    assert_eq!((scenario.about.as_str(), scenario.seed), ("all", 3));
    let [first, second] = &scenario.phases[..] else { panic!("two phases") };
    assert_eq!(first.duration, Some(Duration::from_millis(1500)));
    let up = Conditions {
        latency: Duration::from_micros(2500),
        jitter: Duration::from_millis(1),
        loss: Loss::Independent(0.5),
        ..Conditions::default()
    };
    assert_eq!(first.up, up);
    assert_eq!(first.down.loss, Loss::Bursts { enter: 0.01, leave: 0.2, good: 0.005, bad: 1.0 });
    assert!(first.down.black_out);
    let down = Conditions {
        reorder: 0.1,
        reorder_by: Duration::from_millis(7),
        duplicate: 0.03,
        rate: Some(500),
        queue: 4096,
        ..Conditions::default()
    };
    assert_eq!((&second.down, second.duration), (&down, None));
    assert_eq!(second.up, up, "as in the phase before");
}

#[test]
fn a_value_out_of_range_is_named_with_its_place_and_what_is_allowed() {
    assert_eq!(
        error("[[phase]]\nseconds = 1\n[[phase]]\ndown = { loss_percent = 101 }"),
        "bad.toml: phase 2: down.loss_percent is 101, but must be 0 to 100"
    );
    assert_eq!(
        error("[[phase]]\nboth = { latency_ms = 10, jitter_ms = 11 }"),
        "bad.toml: phase 1: both.jitter_ms is 11, but must be 0 to 10"
    );
    assert_eq!(
        error("[[phase]]\nboth = { rate_bytes_s = 100, queue_bytes = 1000 }"),
        "bad.toml: phase 1: both.queue_bytes is 1000, but must be 2048 to 1000000000"
    );
    assert_eq!(
        error("[[phase]]\nup = { latency_ms = nan }"),
        "bad.toml: phase 1: up.latency_ms is NaN, but must be 0 to 60000"
    );
}

#[test]
fn what_belongs_together_is_asked_for() {
    assert!(error("[[phase]]\nup = { rate_bytes_s = 100 }").contains("up.queue_bytes is left out"));
    assert!(error("[[phase]]\nup = { queue_bytes = 9000 }").contains("only with rate_bytes_s"));
    assert!(error("[[phase]]\n[[phase]]").contains("phase 1: seconds is left out"));
    assert!(error("[[phase]]\nboth = {}\nup = {}").contains("both is given beside up or down"));
    assert!(error("seed = 1").contains("phase is left out"));
}

#[test]
fn an_unknown_key_is_named_with_its_line() {
    let text = error("[[phase]]\nboth = { latency = 30 }");
    assert!(text.starts_with("bad.toml: TOML parse error at line 2"), "{text}");
    assert!(text.contains("unknown field `latency`") && text.contains("`latency_ms`"), "{text}");
}

#[test]
fn a_name_that_is_not_known_gets_the_list() {
    let text = "rtt60".parse::<Scenario>().unwrap_err().to_string();
    assert!(text.contains("rtt60-loss5, narrow-12kB") && text.contains("./rtt60.toml"), "{text}");
    let text = "./nowhere.toml".parse::<Scenario>().unwrap_err().to_string();
    assert!(text.starts_with("./nowhere.toml: No such file"), "{text}");
}

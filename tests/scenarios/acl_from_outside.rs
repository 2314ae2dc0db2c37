//! From outside, with mosquitto's own clients: a box's certificate opens its own topics and nothing else, the bootstrap
//! credential enrolment and nothing else, a code one box, once.

#![allow(clippy::unwrap_used, reason = "a test and its helpers may panic")]

use std::process::Command;

use scenarios::mqtt::Outsider;
use scenarios::running::Running;

#[test]
fn a_certificate_opens_its_own_topics_and_the_bootstrap_credential_enrolment_only() {
    let stack = Running::start("acl", 2).unwrap();
    let spare = stack.spare_identity().unwrap();
    let (own, live) = (spare.appliance.clone(), stack.at(stack.code(0)).unwrap().identity().unwrap().appliance);
    let fleet = stack.centre().broker.clone();
    let bootstrap = stack.centre().bootstrap.clone();

    let a_box = Outsider::with_identity(&spare, &fleet);
    assert!(a_box.is_let_in().unwrap());
    assert!(a_box.publish(&format!("bp/1/{own}/up/health"), "{}").unwrap(), "its own topic");
    for topic in [
        format!("bp/1/{live}/up/state"),
        format!("bp/1/{live}/up/event"),
        format!("bp/1/{live}/down/command"),
        format!("bp/1/{own}/down/command"),
        format!("bp/1/{own}/down/desired"),
        "bp/1/enrol/x/up".to_owned(),
        "anything".to_owned(),
    ] {
        assert!(!a_box.publish(&topic, "x").unwrap(), "{topic} was taken");
    }
    // Health comes every 5 s from each live box; the twin is retained.
    let heard: Vec<String> = a_box
        .listen("#", 7)
        .unwrap()
        .iter()
        .filter_map(|message| Some(message["topic"].as_str()?.to_owned()))
        .collect();
    assert!(heard.contains(&format!("bp/1/{own}/down/desired")), "its own twin: {heard:?}");
    assert!(heard.iter().all(|topic| topic.starts_with(&format!("bp/1/{own}/down/"))), "{heard:?}");

    assert!(
        !Outsider::with_bootstrap(&bootstrap, &fleet).is_let_in().unwrap(),
        "the bootstrap credential at the fleet's door"
    );
    assert!(!Outsider::with_identity(&spare, &bootstrap.broker).is_let_in().unwrap(), "a box at the enrolment's door");
    let new = Outsider::with_bootstrap(&bootstrap, &bootstrap.broker);
    assert!(new.is_let_in().unwrap());
    for topic in
        [format!("bp/1/{live}/up/state"), format!("bp/1/{live}/down/command"), "bp/1/enrol/other/up".to_owned()]
    {
        assert!(!new.publish(&topic, "x").unwrap(), "{topic} was taken");
    }
    assert_eq!(new.listen("#", 7).unwrap(), Vec::<serde_json::Value>::new());

    a_code_works_once(&stack);
    stack.end_all();
}

fn a_code_works_once(stack: &Running) {
    let code = stack.bpctl(&["site", "enrol", "--", "99999", "Nơi thử"]).unwrap()["code"].as_str().unwrap().to_owned();
    let folder = stack.dir().join("second");
    let enrol = |name: &str, code: &str| {
        let original = std::fs::read_to_string(&stack.at(stack.code(0)).unwrap().config).unwrap();
        let data = folder.join(name);
        std::fs::create_dir_all(&data).unwrap();
        let config = data.join("agent.toml");
        let text = original.replace(&format!("boxes/{}/data", stack.code(0)), &format!("second/{name}/data"));
        std::fs::write(&config, text).unwrap();
        let mut agent = Command::new(&stack.programs().agent);
        agent.arg("enrol").arg("--config").arg(&config).args(["--code", code]).output().unwrap()
    };
    let first = enrol("first", &code);
    assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    for (name, code, words) in [("again", code.as_str(), "was used before"), ("wrong", "AAAA-AAAA", "is wrong")] {
        let refused = enrol(name, code);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned() + &String::from_utf8_lossy(&refused.stdout);
        assert!(!refused.status.success() && said.contains(words), "{name}: {said}");
        assert!(!folder.join(name).join("data/identity").exists(), "{name}: something half-written");
    }
}

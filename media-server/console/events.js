// Events of boxes and of a session as sentences.
import { FAULTS } from "./faults.js";
import { fill, has, pick, t } from "./texts.js";

const named = (prefix, value) => (has(`${prefix}.${value}`) ? t(`${prefix}.${value}`) : String(value));

/** A variant of the wire's externally tagged enum: `"Name"` or `{"Name": {…}}`. */
function variant(event) {
  if (typeof event === "string") return [event, {}];
  const [name] = Object.keys(event ?? {});
  return [name ?? "", event?.[name] ?? {}];
}

/** One event of a box in the language in use. `nameOf` turns a site's code into its name. */
export function sentence(event, nameOf) {
  const [name, body] = variant(event);
  switch (name) {
    case "Started": return t("event.Started", body.version);
    case "CallRequested": return t("event.CallRequested", (body.sites ?? []).map(nameOf).join(", "));
    case "EndRequested": return t("event.EndRequested");
    case "PressRefused": return t("event.PressRefused", named("press", body.reason));
    case "Muted": return t(body.on ? "event.Muted.on" : "event.Muted.off", named("muted_by", body.by));
    case "Joined": return t("event.Joined");
    case "Left": return t("event.Left");
    case "Recording": return t("event.Recording");
    case "MediaRestarted": return t("event.MediaRestarted", body.count);
    case "CommandRefused": return t("event.CommandRefused", named("refusal", body.reason));
    case "TwinRefused": return t("event.TwinRefused", body.reason);
    case "Fault": return t("event.Fault", faultText(body.text, body.details ?? []));
    case "Camera": return camera(body);
    case "Picture": return picture(body);
    case "Microphone": return microphone(body);
    case "SoundTested": return t("event.SoundTested", soundTest(body).join(" "));
    case "Commissioned": return t("event.Commissioned", body.serial);
    case "TestCallWanted": return t("event.TestCallWanted");
    case "Updated": return updated(body);
    case "FellBack": return t("event.FellBack", body.slot);
    default: return name; // a newer box: its own word is better than silence
  }
}

/** The text of a box's fault table. */
function faultText(key, places) {
  return Object.hasOwn(FAULTS, key) ? fill(pick(FAULTS[key]), places) : key;
}

/** What a box says of a test of its sound, a sentence each. */
export const soundTest = (test) => test.said.map((said) => faultText(said.text, said.details));

/** Channels are counted from 1 here, as on a label. */
function microphone(event) {
  const [name, body] = variant(event);
  switch (name) {
    case "Faulty": return faultText(`Microphone${body.fault}`, [body.channel + 1]);
    case "Back": return t("event.Microphone.Back", body.channel + 1);
    case "Using": return t("event.Microphone.Using", body.channel + 1, body.instead_of + 1);
    case "NoneWorks": return t("event.Microphone.NoneWorks");
    default: return name;
  }
}

function updated({ version, end }) {
  const [name, fault] = variant(end);
  if (name === "Old") return t("event.Updated.Old", version, named("update", variant(fault)[0]));
  return t(name === "New" ? "event.Updated.New" : "event.Updated.NoWayBack", version);
}

function picture(event) {
  const [name, body] = variant(event);
  switch (name) {
    case "Lost": return faultText("PictureLost", [body.camera, body.reason]);
    case "Back": return faultText("PictureBack", [body.camera, body.after_ms]);
    case "Untouched": {
      const { width, height, fps, kbps, key_every_ms: keys } = body.figures ?? {};
      return faultText("PictureUntouched", [body.camera, width, height, fps, kbps, keys]);
    }
    case "Transcoded": return faultText(`Stream${variant(body.why)[0]}`, [body.camera]);
    default: return name;
  }
}

function camera(event) {
  const [name, body] = variant(event);
  const by = body.by?.Operator ?? named("mover", body.by);
  switch (name) {
    case "Started": return t("event.Camera.Started", by);
    case "Stopped": return t("event.Camera.Stopped", by);
    case "PresetStored": return t("event.Camera.PresetStored", by, body.preset);
    case "PresetCleared": return t("event.Camera.PresetCleared", by, body.preset);
    case "Failed": return t("event.Camera.Failed", by);
    default: return named("event.Camera", name);
  }
}

/** Needs a person's eye: shown with a mark. */
export function alarming(event) {
  const [name, body] = variant(event);
  if (name === "Picture") return ["Lost", "Transcoded"].includes(variant(body)[0]);
  if (name === "Updated") return variant(body.end)[0] !== "New";
  if (name === "Microphone") return ["Faulty", "NoneWorks"].includes(variant(body)[0]);
  if (name === "SoundTested") return !body.good;
  if (name === "Camera") return ["NotAnswering", "Lost", "Failed"].includes(variant(body)[0]);
  return ["PressRefused", "MediaRestarted", "CommandRefused", "TwinRefused", "Fault", "FellBack"].includes(name);
}

/** The session that an event names, if it names one. */
export const sessionOf = (event) => variant(event)[1].session ?? null;

/** Who started a session, and from where. */
export function startedBy(session, nameOf) {
  const by = session.started_by ?? {};
  const who = by.who ?? "";
  switch (by.kind) {
    case "button": return t("by.button", nameOf(who || session.caller));
    case "console": return t("by.console", who);
    case "bpctl": return t("by.bpctl", who);
    case "server": return t("by.server");
    default: return t("by.other", who);
  }
}

/** What the centre itself knows of a session's course: [at_ms, text]. */
export function milestones(session, nameOf) {
  return [
    [session.origin_ms, t("event.SessionStarted", startedBy(session, nameOf))],
    session.on_record_at_ms ? [session.on_record_at_ms, t("event.OnRecord")] : null,
    session.ended_at_ms ? [session.ended_at_ms, t("event.SessionEnded")] : null,
  ].filter(Boolean);
}

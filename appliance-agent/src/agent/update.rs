//! The update's side of the agent: what its core wants is carried out, what comes of it is carried back.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use agent_core::update::{Action, Boot, BootId, Failed, Job, Updates};
use agent_core::{Millis, update};
use bridgepoint_wire::event::CommandRefusal;
use bridgepoint_wire::update::Update;
use tokio::sync::mpsc;

use super::Agent;
use crate::config::UpdateConfig;
use crate::rauc::Rauc;
use crate::{dice, download, durable};

/// Before RAUC is asked again which slot runs.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// What comes back from work that was begun.
#[derive(Debug)]
pub enum Worked {
    /// RAUC has told which slot runs.
    Boot(Boot),
    /// A step's work is done.
    Done(Result<(), Failed>),
    /// The boot loader was told that this boot is good.
    MarkedGood(Result<(), Failed>),
}

/// Updates of a box that has slots.
pub(super) struct Updating {
    pub core: Updates,
    rauc: Arc<Rauc>,
    files: Files,
    reboot: PathBuf,
    tell: mpsc::Sender<Worked>,
    /// A job that the disk did not take: nothing else is done before it does.
    #[expect(clippy::option_option, reason = "a job that is to be kept, or that there is none any more")]
    unkept: Option<Option<Job>>,
}

impl Updating {
    /// Asks RAUC which slot runs, until it says so.
    pub fn start(
        config: &UpdateConfig,
        data_dir: &Path,
        runtime_dir: &Path,
        now: Millis,
    ) -> (Self, mpsc::Receiver<Worked>) {
        let (tell, worked) = mpsc::channel(8);
        let rauc = Arc::new(Rauc { conf: config.rauc_conf.clone(), compatible: config.compatible.clone() });
        tokio::spawn(find_slots(rauc.clone(), config.boot_id.clone(), tell.clone()));
        let files = Files { data_dir: data_dir.to_owned(), bundle: config.dir.join("bundle.raucb") };
        let updating =
            Self { core: Updates::new(now), rauc, files, reboot: runtime_dir.join("reboot"), tell, unkept: None };
        (updating, worked)
    }

    /// Work beside the main loop; its end comes back as [`Worked`].
    fn work(&self, work: impl Future<Output = Worked> + Send + 'static) {
        let tell = self.tell.clone();
        tokio::spawn(async move {
            let worked = work.await;
            // Nobody listens when the program ends.
            let _ = tell.send(worked).await;
        });
    }
}

async fn find_slots(rauc: Arc<Rauc>, boot_id: PathBuf, tell: mpsc::Sender<Worked>) {
    let mut said = String::new();
    loop {
        let found = match tokio::fs::read_to_string(&boot_id).await {
            Ok(id) => rauc.boot(BootId(id.trim().to_owned())).await.map_err(|e| e.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match found {
            Ok(boot) => {
                tracing::info!(slot = boot.slot.0, first_choice = boot.first_choice, "this slot runs");
                let _ = tell.send(Worked::Boot(boot)).await;
                return;
            }
            // Once per reason: a box without RAUC must not fill the log.
            Err(reason) if reason != said => {
                tracing::warn!(reason, "which slot runs is not known: no updates");
                said = reason;
            }
            Err(_) => {}
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
}

impl Agent {
    pub(super) fn handle_worked(&mut self, worked: Worked) {
        let now = self.now();
        let Some(updating) = &mut self.updating else { return };
        match worked {
            Worked::Boot(boot) => {
                let job = updating.files.load();
                updating.core.handle_boot(now, boot, job);
            }
            Worked::Done(done) => {
                if let Err(failed) = &done {
                    tracing::warn!(%failed, step = ?updating.core.job().map(|job| job.step), "update");
                }
                updating.core.handle_done(now, done, dice());
            }
            Worked::MarkedGood(done) => {
                if let Err(failed) = &done {
                    tracing::warn!(%failed, "this boot could not be marked good");
                }
                updating.core.handle_marked_good(now, &done);
            }
        }
    }

    /// An order of the centre. It is on the disk when this returns well.
    pub(super) fn handle_update_order(&mut self, order: Update) -> Result<(), CommandRefusal> {
        let now = self.now();
        let Some(updating) = &mut self.updating else { return Err(CommandRefusal::NotNow) };
        updating.core.handle_order(now, order).map_err(|not_taken| {
            tracing::warn!(%not_taken, "an update was refused");
            CommandRefusal::NotNow
        })?;
        self.settle_update();
        let kept = self.updating.as_ref().is_some_and(|updating| updating.unkept.is_none());
        if kept { Ok(()) } else { Err(CommandRefusal::NotNow) }
    }

    /// Shows the core how the box is, and carries out what it wants.
    pub(super) fn settle_update(&mut self) {
        let now = self.now();
        let works = self.supervisor.is_ready() && self.progress.hang(now).is_none();
        let session = self.session.running().is_some();
        let Some(updating) = &mut self.updating else { return };
        updating.core.handle_session(now, session);
        updating.core.handle_self_test(now, works);
        updating.core.handle_working(now, works);
        loop {
            let Some(updating) = &mut self.updating else { return };
            if let Some(job) = updating.unkept.take()
                && let Err(error) = updating.files.keep(job.as_ref())
            {
                tracing::error!(%error, "the update's step could not be kept");
                updating.unkept = Some(job);
                return;
            }
            match updating.core.poll_action() {
                None => return,
                Some(action) => self.carry_out_update(action),
            }
        }
    }

    fn carry_out_update(&mut self, action: Action) {
        let Some(updating) = &mut self.updating else { return };
        let (rauc, bundle) = (updating.rauc.clone(), updating.files.bundle.clone());
        match action {
            Action::Say(event) => self.say(event),
            Action::Keep(job) => {
                tracing::info!(step = ?job.as_ref().map(|job| job.step), "update");
                updating.unkept = Some(job);
            }
            Action::Download(order) => {
                let (ca_pem, tell) = (self.identity.ca_pem.clone(), updating.tell.clone());
                // A thread of its own, not the runtime's: the program does not wait for it when it ends.
                std::thread::spawn(move || {
                    let _ = tell.blocking_send(Worked::Done(download::fetch(&order, &bundle, &ca_pem)));
                });
            }
            Action::Verify(order) => updating.work(async move {
                let (of, file) = (order.clone(), bundle.clone());
                let compared = tokio::task::spawn_blocking(move || download::compare(&of, &file)).await;
                Worked::Done(match compared {
                    Ok(Ok(())) => rauc.check(&bundle, &order.version).await,
                    Ok(Err(failed)) => Err(failed),
                    Err(error) => Err(Failed::Passing(error.to_string())),
                })
            }),
            Action::Install => updating.work(async move { Worked::Done(rauc.install(&bundle).await) }),
            Action::MarkGood { first_choice } => {
                updating.work(async move { Worked::MarkedGood(rauc.mark_good(first_choice).await) });
            }
            Action::MarkBad => updating.work(async move { Worked::Done(rauc.mark_bad().await) }),
            Action::Discard => updating.files.discard(),
            Action::Reboot => {
                tracing::warn!("the machine is to be restarted");
                if let Err(error) = std::fs::write(&updating.reboot, []) {
                    tracing::error!(%error, file = %updating.reboot.display(), "a restart could not be asked for");
                }
            }
        }
    }
}

/// What the disk holds of an update.
struct Files {
    data_dir: PathBuf,
    bundle: PathBuf,
}

impl Files {
    fn job(&self) -> PathBuf {
        self.data_dir.join("update.json")
    }

    /// What the guard of a trial looks for (`bridgepoint-trial@.service`).
    fn mark(&self, slot: &update::Slot) -> PathBuf {
        self.data_dir.join(format!("trial-{}", slot.0))
    }

    fn load(&self) -> Option<Job> {
        let bytes = std::fs::read(self.job()).ok()?;
        match serde_json::from_slice(&bytes) {
            Ok(job) => Some(job),
            Err(error) => {
                tracing::error!(%error, file = %self.job().display(), "what was kept of an update is not readable");
                None
            }
        }
    }

    /// The guard's mark is there before a slot may be on trial, and goes after: in between it is there too long, not
    /// too short.
    fn keep(&self, job: Option<&Job>) -> std::io::Result<()> {
        let mark = job.filter(|job| job.may_be_on_trial()).map(|job| self.mark(&job.to));
        if let Some(mark) = &mark
            && !mark.exists()
        {
            durable::write_private(mark, &[])?;
            durable::sync_folder(&self.data_dir)?;
        }
        match job {
            Some(job) => {
                let json = serde_json::to_vec(job).map_err(std::io::Error::other)?;
                durable::replace(&self.job(), &json)?;
            }
            None => remove(&self.job())?,
        }
        for entry in std::fs::read_dir(&self.data_dir)? {
            let path = entry?.path();
            let is_mark = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("trial-"));
            if is_mark && Some(&path) != mark.as_ref() {
                remove(&path)?;
            }
        }
        durable::sync_folder(&self.data_dir)
    }

    fn discard(&self) {
        if let Err(error) = remove(&self.bundle) {
            tracing::warn!(%error, file = %self.bundle.display(), "a bundle that is of no use stays");
        }
    }
}

fn remove(file: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

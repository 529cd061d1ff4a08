//! All inputs, once through a pipeline.

use bedrock_denial_watch::alert::sink::AlertSink;
use bedrock_denial_watch::count::store::CounterStore;
use bedrock_denial_watch::pipeline::Pipeline;
use tokio::runtime::Builder;

use crate::cloud::Cloud;
use crate::inputs::{self, Input, is_s3};
use crate::options::Options;
use crate::progress::Progress;
use crate::run::{Claim, Run};
use crate::summary::Summary;

/// What there is to read, and by whom.
pub struct Work<'w> {
    pub options: &'w Options,
    pub inputs: &'w [Input],
    /// What could not be found, by name and reason.
    pub missing: Vec<(String, String)>,
    pub cloud: Option<&'w Cloud>,
}

impl Work<'_> {
    /// Reads and commits it all, and says how it went. `alerts` counts what the sink got.
    pub fn through<S: CounterStore, K: AlertSink>(
        self,
        pipeline: &Pipeline<S, K>,
        claim: Claim<'_>,
        alerts: impl FnOnce(&K) -> u64,
    ) -> (Progress, Summary) {
        let mut run = Run::new(pipeline, claim, Progress::over(self.inputs));
        for (name, why) in self.missing {
            run.fail(&name, &why);
        }
        let own = self.cloud.is_none().then(|| Builder::new_current_thread().build());
        match own.transpose() {
            Err(error) => run.fail("replay", &format!("cannot start: {error}")),
            Ok(own) => {
                if let Some(runtime) = own.as_ref().or(self.cloud.map(Cloud::runtime)) {
                    let cloud = self.cloud;
                    run.all(
                        self.inputs,
                        self.options.jobs(),
                        runtime,
                        |input, reader, progress| match cloud {
                            Some(cloud) if is_s3(&input.path) => cloud.read(input, reader, progress),
                            _ => inputs::read(input, reader, progress),
                        },
                    );
                }
            }
        }
        let (progress, mut summary) = run.finish();
        summary.alerts = alerts(&pipeline.sink);
        // On a terminal the alerts come last, nearest the prompt.
        progress.say(&summary.to_string());
        (progress, summary)
    }
}

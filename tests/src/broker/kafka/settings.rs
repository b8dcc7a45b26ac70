//! The settings file of a single node that is broker and controller.

use std::path::Path;

/// What a broker has besides its plain listener.
#[derive(Debug, Default)]
pub(super) struct Security {
    /// Listeners as in `listeners`, each behind a comma, named as their protocol; advertised as they are.
    pub(super) listeners: String,
    /// A port of a plain listener and the port that clients are told instead.
    pub(super) behind: Option<(u16, u16)>,
    /// Lines of the settings file.
    pub(super) settings: String,
}

pub(super) fn server_properties(folder: &Path, port: u16, controller_port: u16, security: &Security) -> String {
    let Security { listeners, behind, settings } = security;
    let hidden = behind.map(|(port, _)| format!(",PROXIED://127.0.0.1:{port}")).unwrap_or_default();
    let shown = behind.map(|(_, port)| format!(",PROXIED://127.0.0.1:{port}")).unwrap_or_default();
    format!(
        "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:{controller_port}\n\
         listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}{listeners}{hidden}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{port}{listeners}{shown}\ncontroller.listener.names=CONTROLLER\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:PLAINTEXT,\
         SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL\nlog.dirs={}/data\n\
         offsets.topic.replication.factor=1\noffsets.topic.num.partitions=4\n\
         transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n\
         share.coordinator.state.topic.replication.factor=1\nshare.coordinator.state.topic.min.isr=1\n\
         group.initial.rebalance.delay.ms=0\ngroup.min.session.timeout.ms=500\nauto.create.topics.enable=false\n{settings}",
        folder.display()
    )
}

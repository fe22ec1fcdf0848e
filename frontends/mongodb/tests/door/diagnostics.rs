//! What clients are told about the server.

use bson::{Bson, doc};

use crate::harness::{USER, listen};

#[tokio::test]
async fn every_question_of_a_shell_is_answered() {
    let server = listen(|_| ()).await;
    let mut client = server.enter().await;
    for (command, field, value) in [
        (doc! { "ping": 1 }, "ok", Bson::from(1.0)),
        (doc! { "buildInfo": 1 }, "version", "7.0.0".into()),
        (doc! { "buildinfo": 1 }, "versionArray", vec![7, 0, 0, 0].into()),
        (doc! { "getLog": "*" }, "names", vec!["global", "startupWarnings"].into()),
        (doc! { "getLog": "startupWarnings" }, "totalLinesWritten", 0.into()),
        (doc! { "getFreeMonitoringStatus": 1 }, "state", "disabled".into()),
        (
            doc! { "getParameter": 1, "featureCompatibilityVersion": 1 },
            "featureCompatibilityVersion",
            doc! { "version": "7.0" }.into(),
        ),
        (doc! { "getParameter": "*" }, "authenticationMechanisms", vec!["SCRAM-SHA-256"].into()),
        (doc! { "serverStatus": 1 }, "version", "7.0.0".into()),
        (doc! { "getCmdLineOpts": 1 }, "argv", vec!["nimbus", "start"].into()),
        (doc! { "features": 1 }, "js", false.into()),
    ] {
        assert_eq!(client.run(command.clone()).await.get(field), Some(&value), "{command}");
    }
    let status = client.run(doc! { "connectionStatus": 1 }).await;
    let info = status.get_document("authInfo").unwrap();
    assert_eq!(info.get_array("authenticatedUsers").unwrap(), &[doc! { "user": USER, "db": "admin" }.into()]);
    let me = client.run(doc! { "whatsmyuri": 1 }).await;
    assert_eq!(me.get_str("you").unwrap(), client.stream.local_addr().unwrap().to_string().as_str());
    server.stop().await;
}

#[tokio::test]
async fn what_there_is_not_is_named() {
    let server = listen(|_| ()).await;
    let mut client = server.enter().await;
    for (command, code) in [
        (doc! { "atlasVersion": 1 }, 59),
        (doc! { "noSuchCommand": 1 }, 59),
        (doc! { "replSetGetStatus": 1 }, 76),
        (doc! { "replSetGetConfig": 1 }, 76),
        (doc! { "getParameter": 1, "noSuchParameter": 1 }, 72),
        (doc! { "getLog": "noSuchLog" }, 96),
        (doc! { "getLog": 1 }, 14),
    ] {
        assert_eq!(client.refused(command.clone()).await, code, "{command}");
    }
    server.stop().await;
}

#[tokio::test]
async fn figures_are_counted() {
    let server = listen(|_| ()).await;
    let mut client = server.enter().await;
    let mut other = server.connect().await;
    other.run(doc! { "ping": 1 }).await;
    let status = client.run(doc! { "serverStatus": 1 }).await;
    let connections = status.get_document("connections").unwrap();
    assert_eq!(connections.get_i64("current").unwrap(), 2);
    assert_eq!(connections.get_i64("totalCreated").unwrap(), 2);
    // Two messages of authentication, the ping, and this command itself.
    assert_eq!(status.get_document("opcounters").unwrap().get_i64("command").unwrap(), 4);
    let network = status.get_document("network").unwrap();
    assert_eq!(network.get_i64("numRequests").unwrap(), 4);
    assert!(network.get_i64("bytesIn").unwrap() > 100 && network.get_i64("bytesOut").unwrap() > 100);
    let text = server.metrics.render();
    assert!(text.contains("nimbus_mongodb_commands_total{command=\"ping\"} 1\n"), "{text}");
    assert!(text.contains("nimbus_mongodb_connections_open 2\n"), "{text}");
    server.stop().await;
}

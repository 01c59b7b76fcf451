"""Processes are killed and stopped under load: what was acknowledged is there, once."""

import pytest

from tests.support.deployments import Deployment
from tests.support.load import Load, expect_exactly

pytestmark = pytest.mark.services


def test_kill_9_of_every_process_loses_nothing_and_doubles_nothing(own_deployment: Deployment) -> None:
    project = own_deployment.create_project()
    with Load(own_deployment, project) as load:
        for process in own_deployment.processes().values():
            load.wait_for_more()
            process.kill()
            process.start()
    own_deployment.wait_ready()
    assert load.statuses() <= {200, 503}
    expect_exactly(load, own_deployment, project)


def test_sigterm_under_load_exits_0_within_ten_seconds_and_loses_nothing(own_deployment: Deployment) -> None:
    project = own_deployment.create_project()
    with Load(own_deployment, project) as load:
        for process in own_deployment.processes().values():
            load.wait_for_more()
            assert process.terminate(10) == 0, process.log_tail()
            process.start()
    own_deployment.wait_ready()
    assert load.statuses() <= {200, 503}
    expect_exactly(load, own_deployment, project)

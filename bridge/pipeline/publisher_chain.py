"""The chain of publishers behind the pipeline: each handles its part of the events and passes the rest on."""

from bridge.ports import Publisher, PublisherStage


def chain(publishers: tuple[*tuple[PublisherStage, ...], Publisher]) -> Publisher:
    """Join publishers so that each passes events on to the next; return the first."""
    *stages, following = publishers
    for stage in reversed(stages):
        stage.next, following = following, stage
    return following

"""The sample: the front of the state, which every block reads.

It begins with the float slice of a closed bar (`market.bars`), or of a single tick, followed by
what several blocks need.
"""

from market.bars import N_FLOATS

# Sample: the bar's floats, then these. ENDS is 1 when the sample's time is the end of a span, so
# that it belongs to the bucket before it. Moves are of the quotes since the last sample: net is
# rises minus falls. COLD_BLOCKS counts the blocks that do not have what they need yet. MINUTE is
# that of the quote which came, in minutes since 1970.
(
    PIP,
    N_TICKS,
    ELAPSED_SECS,
    LAST_CLOSE,
    RETURN_BPS,
    IS_FIRST,
    ENDS,
    COLD_BLOCKS,
    LAST_BID,
    LAST_ASK,
    BID_NET,
    ASK_NET,
    BID_MOVES,
    ASK_MOVES,
    QUIET_SECS,
    MINUTE,
) = range(N_FLOATS, N_FLOATS + 16)
N_SAMPLE = N_FLOATS + 16

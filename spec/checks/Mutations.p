// Planted mistakes. The checker must find each of them, or its silence about the protocol would say nothing. docs/internals/spec.md has
// the table. What a mutation changes stands where the rule is, as `Planted(...)`.

enum tMutation {
  NONE = 0,

  // sequencing and answering
  NO_TABLE = 1,                       // the primary sequences whatever comes
  TABLE_OF_COMMITTED = 2,             // the table is looked up as of the watermark, not as of the tail
  EPOCH_NOT_FENCED = 3,               // an old incarnation of a writer is served
  GAP_ACCEPTED = 4,                   // a sequence above the next one is sequenced
  WINDOW_OVERRUN = 5,                 // no BUSY: places of frames in flight are pushed out of the window
  ALREADY_COMMITTED_IN_FLIGHT = 6,    // what is in flight and has no place any more is called committed
  OUT_OF_ORDER_BELIEVED = 7,          // the client believes OUT_OF_ORDER of a primary that was replaced

  // votes and the watermark
  BALLOT_IGNORED = 8,                 // a replica takes PREPAREs of any ballot
  MAJORITY_COMMITS = 9,               // more than half of the members suffice
  VOTE_BEFORE_FLUSH = 10,
  FLUSH_OF_CUT_LOG = 11,               // a flush that began before a cut is credited to what was written after it
  READERS_SEE_PREPARED = 12,           // a secondary shows its whole log

  // view changes
  PROMISE_NOT_DURABLE = 13,
  VERSION_REGRANTED = 14,              // a primary that was started anew takes its old version again
  VIEW_INSTALLED_TWICE = 15,
  VIEW_BEFORE_FRAMES = 16,             // the ballot becomes durable before the frames
  LINEAGE_IGNORED = 17,                // logs are compared by their lengths
  DOUBT_DROPPED = 18,                  // a new primary cuts what it does not know to be committed
  ABORT_KEEPS_BALLOT = 19,
  ABORT_WHILE_RECOVERING = 20,
  LEFT_OUT_COMES_BACK = 21,            // a member that was left out is a member again

  // after a crash
  FOUND_NOT_FLUSHED = 22,              // what the scan finds after a kill counts as durable
  SUSPECT_BELIEVED = 23,
  PROMISE_CLEARS_SUSPICION = 24,       // a promise writes the machine's new boot into the metadata of a suspect
  VIEW_AGAIN_FOR_SUSPECT = 25,         // a suspect installs the view of its last ballot once more

  // roll-over
  SEALED_TOO_SOON = 26,                // the master is told before the SEAL is committed
  SEALED_OF_REPLACED = 27,             // the master believes a primary that was replaced
  BASE_FORGOTTEN = 28,                 // the next chunk starts with an empty table, and unknown writers are served
  BASE_NOT_VERIFIED = 29,              // the base is taken from whatever replica there is
  CONFIRM_SEAL_UNCHECKED = 30          // of whatever version the replica's log is
}

param mutation: int;      // of tMutation
param memory: bool;       // the file's durability: memory, otherwise group
param faults: int;        // how many; 0: and the network is kind, too

fun Planted(planted: tMutation): bool { return mutation == (planted to int); }

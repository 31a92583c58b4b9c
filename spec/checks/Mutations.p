// Planted mistakes. The checker must find them, or its silence about the protocol would say nothing. What a mutation
// changes stands where the rule is, as `Planted(...)`. Each line says with which durability, or in which world of a cold start, it is
// looked for, within how many schedules (eng/check-spec.sh reads that), and what is wrong. 0 schedules: it is not looked for; docs/internals/spec.md says why.

enum tMutation {
  NONE = 0,

  // sequencing and answering
  NO_TABLE = 1,                     // group 100: the primary sequences whatever comes
  TABLE_OF_COMMITTED = 2,           // group 100: the table is looked up as of the watermark, not as of the tail
  EPOCH_NOT_FENCED = 3,             // group 100: an old incarnation of a writer is served
  GAP_ACCEPTED = 4,                 // group 100: a sequence above the next one is sequenced
  WINDOW_OVERRUN = 5,               // group 0: no BUSY: the places of frames in flight are pushed out of the window
  ALREADY_COMMITTED_IN_FLIGHT = 6,  // group 100: frames in flight are answered as if they were committed
  OUT_OF_ORDER_BELIEVED = 7,        // group 0: a client believes a primary that was replaced when it says OUT_OF_ORDER
  FENCED_TOO_SURE = 31,             // group 3000: FENCED means aborted, also when the INIT is in flight or the request came twice

  // votes and the watermark
  BALLOT_IGNORED = 8,               // group 200: a secondary takes PREPAREs of any ballot
  MAJORITY_COMMITS = 9,             // group 600: more than half of the members suffice
  VOTE_BEFORE_FLUSH = 10,           // group 2000: a secondary votes for what a loss of power may take away
  FLUSH_OF_CUT_LOG = 11,            // group 0: a flush that began before a cut is credited to what was written after it
  READERS_SEE_PREPARED = 12,        // group 100: a secondary shows its whole log

  // view changes
  PROMISE_NOT_DURABLE = 13,         // group 0: a promise is forgotten with the process
  VERSION_REGRANTED = 14,           // group 0: a primary that was started anew takes its old version again
  VIEW_INSTALLED_TWICE = 15,        // group 200: a NEW_VIEW of the ballot that is installed already is installed again
  VIEW_BEFORE_FRAMES = 16,          // group 0: the ballot becomes durable before the frames
  LINEAGE_IGNORED = 17,             // group 0: two logs are compared by their lengths
  DOUBT_DROPPED = 18,               // group 200: a new primary cuts what it does not know to be committed
  ABORT_KEEPS_BALLOT = 19,          // group 600: an abort does not raise the attempt
  ABORT_WHILE_RECOVERING = 20,      // group 0: a primary that is not active yet aborts, too
  LEFT_OUT_COMES_BACK = 21,         // group 200: a member that was left out is a member again

  // after a crash
  FOUND_NOT_FLUSHED = 22,           // group 0: what the scan finds after a kill counts as durable
  SUSPECT_BELIEVED = 23,            // memory 2000: a machine that lost its power is believed
  PROMISE_CLEARS_SUSPICION = 24,    // memory 0: a promise writes the machine's new boot into the metadata of a suspect
  VIEW_AGAIN_FOR_SUSPECT = 25,      // memory 0: a suspect installs the view of its last ballot once more

  // roll-over
  SEALED_TOO_SOON = 26,             // group 100: the master is told before the SEAL is committed
  SEALED_OF_REPLACED = 27,          // group 0: the master believes a primary that was replaced
  BASE_FORGOTTEN = 28,              // group 100: the next chunk starts with an empty table, and unknown writers are served
  BASE_NOT_VERIFIED = 29,           // group 100: the base is taken from whatever replica of the sealed chunk is at hand
  CONFIRM_SEAL_UNCHECKED = 30,      // group 200: a SEAL of the right length is confirmed to a replica of any version

  // the cold start and after it
  FLOOR_IGNORED = 32,               // cold 200: a chunk goes on with whoever is there, however few
  LATE_MEMBER_DELETED = 33,         // forgetful 600: a replica that knows more to be committed than its sealed chunk has counts as outdated
  COPY_DELETES_FIRST = 34,          // cold 200: what is at the place of a copy goes before the copy is there
  SEAL_COUNTED = 35,                // forgetful 600: a replica knows more only if it knows of more than the chunk has with its SEAL
  GIVEN_UP_DELETED = 37,            // recover 600: a replica that an operator gave up goes, unless it knows that it has more
  SETTLED_TOO_SOON = 36             // cold 300: the end of a chunk that waits is where a member knows it to be committed, whatever else it has
}

enum tWorld { USUAL, COLD_START, LATE, RECOVER, FORGETFUL }

param mutation: int;      // of tMutation
param memory: bool;       // the file's durability: memory, otherwise group
param world: int;         // of tWorld: docs/internals/spec.md says what may happen there
param faults: int;        // how many; 0: and the network is kind, too

fun Planted(planted: tMutation): bool { return mutation == (planted to int); }

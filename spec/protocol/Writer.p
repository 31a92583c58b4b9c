// One incarnation of a writer: it registers (its epoch), introduces itself to the primary (INIT), goes on after the last sequence that
// is in the file, and has a few batches in flight (src/Semel.Client/Appending). Several incarnations may run at a time: all but the last are
// zombies, whether they know it or not.

machine Writer {
  var master: machine;
  var writer: int;
  var target: int;                       // it ends when this sequence is acknowledged
  var epoch: int;

  // Where to append, and the highest ballot met there.
  var handle: int;
  var index: int;
  var version: int;
  var primary: machine;
  var known: int;

  var question: int;
  var complains: bool;
  var isOpen: bool;
  var timer: machine;
  var patience: int;                     // questions to the master before it gives up

  // Sequences below oldest are acknowledged, and those in the set; those from oldest to unsent - 1 were sent in this generation.
  var oldest: int;
  var unsent: int;
  var acknowledged: set[int];
  var generation: int;
  var inFlight: int;
  var progress: bool;
  var attempts: map[int, int];
  var oldestWhenSent: map[int, int];

  start state Registering {
    entry (p: (master: machine, writer: int, target: int, patience: int)) {
      master = p.master;
      writer = p.writer;
      target = p.target;
      patience = p.patience;
      timer = new Timer(this);
      send master, eRegisterWriter, (client = this, writer = writer);
    }
    on eRegisterWriterReply do (m: (epoch: int)) { epoch = m.epoch; goto Locating; }
  }

  // ================================================================ where to?

  state Locating {
    entry {
      question = question + 1;
      if (patience == 0) { goto Ended; }
      patience = patience - 1;
      if (complains) { Send(master, eLocateTail, (client = this, question = question, suspectHandle = handle, suspectVersion = version)); }
      else { Send(master, eLocateTail, (client = this, question = question, suspectHandle = 0, suspectVersion = 0)); }
      send timer, eSetTimer, question;
    }
    on eLocateTailReply do (m: (question: int, handle: int, index: int, version: int, primary: machine)) {
      if (m.question != question || m.index < index) { return; }
      if (m.handle != handle) { known = 0; }
      handle = m.handle;
      index = m.index;
      version = m.version;
      primary = m.primary;
      Meet(BallotOf(version));
      complains = false;
      if (isOpen) { goto Appending; }
      else { goto Opening; }
    }
    on eNoAnswer do (asked: int) { if (asked == question) { goto Locating; } }
    on eAppendReply do OnLateReply;
  }

  fun Meet(ballot: int) { known = Most(known, ballot); }

  fun Ask(complaint: bool) {
    complains = complaint;
    goto Locating;
  }

  // ================================================================ INIT

  state Opening {
    entry {
      question = question + 1;
      generation = generation + 1;
      Send(primary, eInitWriter, CallOf(0));
      send timer, eSetTimer, question;
    }
    on eAppendReply do (reply: (call: tAppend, status: tAppendStatus, ballot: int, place: tPlace, lastSequence: int)) {
      if (reply.call.generation != generation) { return; }
      if (reply.status == COMMITTED) {
        Meet(reply.ballot);
        announce eOpened, (writer = writer, epoch = epoch, last = reply.lastSequence);
        isOpen = true;
        oldest = reply.lastSequence + 1;
        goto Appending;
      }
      if (reply.status == FENCED) { EndFenced(0, 0); goto Ended; }
      Meet(reply.ballot);
      Ask(reply.status == NOT_PRIMARY);
    }
    on eNoAnswer do (asked: int) { if (asked == question) { Ask($); } }
    ignore eLocateTailReply;
  }

  // ================================================================ appending

  state Appending {
    entry {
      // Everything that is not acknowledged is sent again, in order.
      question = question + 1;
      generation = generation + 1;
      inFlight = 0;
      progress = false;
      unsent = oldest;
      if (oldest > target) { goto Ended; }
      Pump();
      send timer, eSetTimer, question;
    }
    on eAppendReply do OnReply;
    on eNoAnswer do (asked: int) {
      if (asked != question) { return; }
      if (!progress) { Ask($); }
      progress = false;
      question = question + 1;
      send timer, eSetTimer, question;
    }
    ignore eLocateTailReply;
  }

  state Ended {
    entry { announce eWriterEnded; }
    ignore eNoAnswer, eLocateTailReply, eAppendReply;
  }

  fun CallOf(sequence: int): tAppend {
    return (client = this, handle = handle, knownBallot = known, writer = writer, epoch = epoch, sequence = sequence, generation = generation);
  }

  fun Pump() {
    while (inFlight < MaxInFlight() && unsent <= target) {
      if (!(unsent in acknowledged)) {
        if (!(unsent in attempts)) { attempts[unsent] = 0; }
        attempts[unsent] = attempts[unsent] + 1;
        oldestWhenSent[unsent] = oldest;
        inFlight = inFlight + 1;
        Send(primary, eAppend, CallOf(unsent));
      }
      unsent = unsent + 1;
    }
  }

  fun OnReply(reply: (call: tAppend, status: tAppendStatus, ballot: int, place: tPlace, lastSequence: int)) {
    var isDefinite: bool;
    if (reply.status == COMMITTED || reply.status == ALREADY_COMMITTED) {
      if (reply.call.generation == generation && !(reply.call.sequence in acknowledged)) { inFlight = inFlight - 1; }
      OnLateReply(reply);
      if (oldest > target) { goto Ended; }
      Pump();
      return;
    }
    if (reply.call.generation != generation) { return; }
    // Not from a primary that was replaced.
    isDefinite = reply.ballot >= known || Planted(OUT_OF_ORDER_BELIEVED);
    Meet(reply.ballot);
    if (reply.status == FENCED) { EndFenced(reply.call.sequence, reply.lastSequence); goto Ended; }
    if (reply.status == BUSY) { goto Appending; }
    if (reply.status == OUT_OF_ORDER) {
      if (!isDefinite) { Ask(true); }
      assert world >= (RECOVER to int) || reply.lastSequence >= oldestWhenSent[reply.call.sequence] - 1,
        format("ACKNOWLEDGED RECORDS LOST: the file ends at sequence {0} of writer {1}, but {2} was acknowledged", reply.lastSequence, writer,
          oldestWhenSent[reply.call.sequence] - 1);
      goto Appending;
    }
    assert world >= (RECOVER to int) || reply.status != UNKNOWN_WRITER || !isDefinite, format("WRITER {0} FORGOTTEN in epoch {1}: {2}", writer, epoch, reply);
    Ask(reply.status == NOT_PRIMARY || reply.status == UNKNOWN_WRITER);
  }

  // An acknowledgement is true as of any sending.
  fun OnLateReply(reply: (call: tAppend, status: tAppendStatus, ballot: int, place: tPlace, lastSequence: int)) {
    if (reply.call.sequence == 0 || (reply.status != COMMITTED && reply.status != ALREADY_COMMITTED)) { return; }
    announce eAcknowledged, (writer = writer, sequence = reply.call.sequence, place = reply.place);
    if (reply.call.handle == handle) { Meet(reply.ballot); }
    acknowledged += (reply.call.sequence);
    progress = true;
    while (oldest in acknowledged) { oldest = oldest + 1; }
  }

  // What was never sent is aborted, and so is what was refused the only time it was sent, with all that follows it; unless the request came
  // twice: then the file may have it already. The rest is in doubt.
  fun EndFenced(refused: int, lastSequence: int) {
    var sequence: int;
    announce eFenced, (writer = writer, epoch = epoch);
    if (refused == 0 || attempts[refused] > 1) { return; }
    if (refused <= lastSequence && !Planted(FENCED_TOO_SURE)) { return; }
    sequence = refused;
    while (sequence <= target) {
      if (!(sequence in acknowledged)) { announce eAborted, (writer = writer, epoch = epoch, sequence = sequence); }
      sequence = sequence + 1;
    }
  }
}

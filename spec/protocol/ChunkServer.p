// A chunk server: a replica of each chunk that it was given, and primary of some (src/Semel.ChunkServer/Replicas/Replica.cs,
// Appending/Primary.cs). A handler is one step of the replica's loop: what the code awaits within a step lets nothing else happen there
// either, but it may die there (Dies).

type tOwedVote = (primary: machine, ballot: int, end: int);

type tReplica = (
  index: int,
  base: tTable,
  // The metadata on the disk: also metadataBoot, the machine's boot when it was written last.
  promisedOnDisk: int, lastView: int, metadataBoot: int, sealRecorded: bool, committedOnDisk: int,
  // What readers of the file find, and what is left of it after a loss of power.
  log: seq[tFrame], medium: seq[tFrame],
  // In the process only.
  promised: int, held: int, committed: int, heardCommitted: int, generation: int, flushing: bool, suspect: bool,
  owedVotes: seq[tOwedVote]
);

type tWaiter = (call: tAppend, end: int, status: tAppendStatus, place: tPlace, lastSequence: int);

// Recovering --every member holds our whole log--> active. Wholly in the process.
type tPrimary = (
  ballot: int, members: set[machine], active: bool, seal: bool,
  // How far each secondary is, as MemberStream.
  following: set[machine], acked: map[machine, int], next: map[machine, int], wants: map[machine, int],
  waiters: seq[tWaiter]
);

machine ChunkServer {
  var master: machine;
  var replicas: map[int, tReplica];
  var primaries: map[int, tPrimary];
  var awaitedBases: map[int, (index: int, base: tChunkBase)];
  var boot: int;
  var stepsToDeath: int;      // 0: none is near
  var life: int;              // how many disks it had before this one
  var powerWasLost: bool;     // while it was stopped

  start state Serving {
    on eMaster do (m: machine) { master = m; }

    on eAppend do OnAppend;
    on eInitWriter do OnAppend;
    on ePrepare do OnPrepare;
    on eNewView do OnNewView;
    on eVote do OnVote;
    on eFlushEnded do OnFlushEnded;

    on eCreateChunk do OnCreateChunk;
    on eFetchBase do OnFetchBase;
    on eFetchBaseReply do OnFetchBaseReply;
    on ePromise do OnPromise;
    on eGrant do OnGrant;
    on eSealChunk do OnSealChunk;
    on eConfirmSeal do OnConfirmSeal;

    on eKill do { Restart(false); }
    on ePowerLoss do { Restart(true); }
    on eDieMidway do { stepsToDeath = 1 + choose(4); }
    on eLeaseOver do { StepDownEverywhere(); }
    on eDiskFull do { AbortEverywhere(); }

    // What only the worlds of the cold start have.
    on eRegisterAgain do Register;
    on eCloneChunk do OnCloneChunk;
    on eReadFrames do OnReadFrames;
    on eReadFramesReply do OnReadFramesReply;
    on eDeleteChunk do OnDeleteChunk;
    on eRead do OnRead;
    on eStop do (powerIsLost: bool) {
      powerWasLost = powerIsLost;
      if (!powerIsLost && $) { StopCleanly(); }
      primaries = default(map[int, tPrimary]);
      goto Stopped;
    }
    on eDiskDies do (isReplaced: bool) { LoseDisk(isReplaced); }
    ignore eStart, eForget;
  }

  state Stopped {
    on eStart do { Restart(powerWasLost); goto Serving; }
    on eForget do ForgetTails;
    on eDiskDies do (isReplaced: bool) { LoseDisk(isReplaced); }
    ignore eMaster, eAppend, eInitWriter, ePrepare, eNewView, eVote, eFlushEnded, eCreateChunk, eFetchBase, eFetchBaseReply, ePromise, eGrant, eSealChunk,
      eConfirmSeal, eKill, ePowerLoss, eDieMidway, eLeaseOver, eDiskFull, eRegisterAgain, eCloneChunk, eReadFrames, eReadFramesReply, eDeleteChunk, eRead, eStop;
  }

  state Gone {
    ignore eMaster, eAppend, eInitWriter, ePrepare, eNewView, eVote, eFlushEnded, eCreateChunk, eFetchBase, eFetchBaseReply, ePromise, eGrant, eSealChunk,
      eConfirmSeal, eKill, ePowerLoss, eDieMidway, eLeaseOver, eDiskFull, eRegisterAgain, eCloneChunk, eReadFrames, eReadFramesReply, eDeleteChunk, eRead, eStop,
      eStart, eForget, eDiskDies;
  }

  // ================================================================ secondary

  fun OnPrepare(m: (sender: machine, handle: int, ballot: int, offset: int, frames: seq[tFrame], committed: int)) {
    var h: int;
    var tail: int;
    var i: int;
    h = m.handle;
    if (!(h in replicas)) { return; }
    if (m.ballot < replicas[h].promised && !Planted(BALLOT_IGNORED)) { Vote(m.sender, h, m.ballot, VOTE_STALE, 0); return; }
    if ((m.ballot != replicas[h].lastView && !Planted(BALLOT_IGNORED)) || replicas[h].suspect) {
      Vote(m.sender, h, m.ballot, NEED_VIEW, 0);
      return;
    }
    tail = sizeof(replicas[h].log);
    if (m.offset > tail) { Vote(m.sender, h, m.ballot, GAP, tail); return; }

    // In one ballot an offset has one frame: what is here already is the same.
    i = tail - m.offset;
    if (i < sizeof(m.frames)) {
      while (i < sizeof(m.frames)) { WriteFrame(h, m.frames[i]); i = i + 1; }
      FramesWereWritten(h);
      tail = sizeof(replicas[h].log);
    }
    replicas[h].heardCommitted = Most(replicas[h].heardCommitted, m.committed);
    Commit(h, Least(replicas[h].heardCommitted, replicas[h].held));
    if (Planted(READERS_SEE_PREPARED)) { Commit(h, tail); }

    if (replicas[h].held >= tail || sizeof(m.frames) == 0) { Vote(m.sender, h, m.ballot, VOTED, replicas[h].held); }
    else if (Planted(VOTE_BEFORE_FLUSH)) { Vote(m.sender, h, m.ballot, VOTED, tail); StartFlush(h); }
    else {
      replicas[h].owedVotes += (sizeof(replicas[h].owedVotes), (primary = m.sender, ballot = m.ballot, end = tail));
      StartFlush(h);
    }
  }

  // 1: cut what is not shared. 2: copy what is missing. 3: the frames become durable, then the view, and only then comes the vote.
  fun OnNewView(m: (sender: machine, handle: int, ballot: int, lineage: seq[tStretch], tail: int, baseDigest: tTable, framesFrom: int, frames: seq[tFrame])) {
    var h: int;
    var common: int;
    var frame: tFrame;
    h = m.handle;
    if (!(h in replicas)) { return; }
    if (m.ballot < replicas[h].promised) { Vote(m.sender, h, m.ballot, VOTE_STALE, 0); return; }
    if (m.ballot == replicas[h].lastView && !MayInstallAgain(h)) {
      if (replicas[h].suspect) { Vote(m.sender, h, m.ballot, NEED_VIEW, 0); }
      else { Vote(m.sender, h, m.ballot, VOTED, replicas[h].held); }
      return;
    }
    if (replicas[h].base != m.baseDigest && !Planted(BASE_NOT_VERIFIED)) { Vote(m.sender, h, m.ballot, IO_ERROR, 0); return; }
    if (h in primaries) { StepDown(h); }
    RefuseOwedVotes(h);
    replicas[h].promised = m.ballot;

    // Step 1
    common = CommonPrefix(LineageOf(replicas[h].log), sizeof(replicas[h].log), m.lineage, m.tail);
    if (Planted(LINEAGE_IGNORED)) { common = Least(sizeof(replicas[h].log), m.tail); }
    assert common >= replicas[h].committed || replicas[h].suspect,
      format("VIEW {0} SHARES {1} frames of chunk {2}, {3} are committed here", m.ballot, common, h, replicas[h].committed);
    if (common < sizeof(replicas[h].log)) { Cut(h, common); }

    // Step 2
    if (m.framesFrom == common) {
      foreach (frame in m.frames) { WriteFrame(h, frame); }
    }
    if (sizeof(replicas[h].log) < m.tail) { Vote(m.sender, h, m.ballot, NEED_FRAMES, sizeof(replicas[h].log)); return; }

    // Step 3
    if (Planted(VIEW_BEFORE_FRAMES)) { RecordView(h, m.ballot); }
    if (Dies()) { return; }
    Flush(h);
    if (Dies()) { return; }
    RecordView(h, m.ballot);
    replicas[h].heardCommitted = 0;
    if (Dies()) { return; }
    Vote(m.sender, h, m.ballot, VOTED, replicas[h].held);
  }

  fun MayInstallAgain(h: int): bool {
    return Planted(VIEW_INSTALLED_TWICE) || (replicas[h].suspect && Planted(VIEW_AGAIN_FOR_SUSPECT));
  }

  fun Vote(primary: machine, h: int, ballot: int, status: tVoteStatus, durable: int) {
    Send(primary, eVote, (voter = this, handle = h, asked = ballot, status = status, durable = durable));
  }

  fun RefuseOwedVotes(h: int) { replicas[h].owedVotes = default(seq[tOwedVote]); }

  // ================================================================ the log, the disk, the watermark

  fun WriteFrame(h: int, frame: tFrame) {
    assert !EndsInSeal(replicas[h].log), format("A FRAME FOLLOWS THE SEAL of chunk {0}: {1}", h, frame);
    replicas[h].log += (sizeof(replicas[h].log), frame);
  }

  fun FramesWereWritten(h: int) {
    if (memory) {
      replicas[h].held = sizeof(replicas[h].log);
      if (choose(6) == 0) { StartFlush(h); }                // the background flush
    }
  }

  fun Cut(h: int, length: int) {
    replicas[h].generation = replicas[h].generation + 1;
    replicas[h].log = Prefix(replicas[h].log, length);
    replicas[h].held = Least(replicas[h].held, length);
  }

  // Within one step.
  fun Flush(h: int) {
    replicas[h].medium = replicas[h].log;
    replicas[h].held = sizeof(replicas[h].log);
    IsOnDisk(h);
  }

  // Beside the loop; one at a time.
  fun StartFlush(h: int) {
    if (replicas[h].flushing || (!memory && replicas[h].held >= sizeof(replicas[h].log))) { return; }
    replicas[h].flushing = true;
    send this, eFlushEnded, (handle = h, generation = replicas[h].generation, upTo = sizeof(replicas[h].log));
  }

  fun OnFlushEnded(flush: (handle: int, generation: int, upTo: int)) {
    var h: int;
    var owed: tOwedVote;
    h = flush.handle;
    if (!(h in replicas) || !replicas[h].flushing) { return; }     // it was under way when the process died
    replicas[h].flushing = false;
    if (flush.generation == replicas[h].generation) {
      if (flush.upTo > sizeof(replicas[h].medium)) {
        replicas[h].medium = Prefix(replicas[h].log, flush.upTo);
        IsOnDisk(h);
      }
      if (!memory) { replicas[h].held = Most(replicas[h].held, flush.upTo); }
    } else if (Planted(FLUSH_OF_CUT_LOG) && !memory) {
      replicas[h].held = Most(replicas[h].held, Least(flush.upTo, sizeof(replicas[h].log)));
    }
    if (!memory) { StartFlush(h); }

    if (h in primaries) { Advance(h); return; }
    while (sizeof(replicas[h].owedVotes) > 0 && replicas[h].owedVotes[0].end <= replicas[h].held) {
      owed = replicas[h].owedVotes[0];
      replicas[h].owedVotes -= (0);
      Vote(owed.primary, h, owed.ballot, VOTED, replicas[h].held);
    }
    Commit(h, Least(replicas[h].heardCommitted, replicas[h].held));
  }

  fun IsSealed(h: int): bool { return EndsInSeal(replicas[h].log) && replicas[h].committed == sizeof(replicas[h].log); }

  // Raises the watermark; it never falls. Readers see a frame from now on.
  fun Commit(h: int, upTo: int) {
    assert upTo <= sizeof(replicas[h].log);
    while (replicas[h].committed < upTo) {
      announce eReadable, (handle = h, index = replicas[h].index, offset = replicas[h].committed,
        frame = replicas[h].log[replicas[h].committed], view = replicas[h].lastView);
      replicas[h].committed = replicas[h].committed + 1;
    }
    if (IsSealed(h) && !replicas[h].sealRecorded) {
      replicas[h].medium = replicas[h].log;
      replicas[h].sealRecorded = true;
      IsOnDisk(h);
      Report(h);
    }
  }

  // A ballot is promised and its view installed; whoever was shown the log is no suspect any more.
  fun RecordView(h: int, ballot: int) {
    replicas[h].promised = ballot;
    replicas[h].promisedOnDisk = ballot;
    replicas[h].lastView = ballot;
    replicas[h].metadataBoot = boot;
    replicas[h].suspect = false;
  }

  fun Table(h: int): tTable {
    return Fold(replicas[h].base, replicas[h].index, replicas[h].log, sizeof(replicas[h].log));
  }

  // ================================================================ master to replica

  fun OnPromise(m: (handle: int, version: int)) {
    var h: int;
    var ballot: int;
    h = m.handle;
    if (!(h in replicas)) {
      if (world != (USUAL to int)) { Send(master, eNotFound, (member = this, handle = h, version = m.version, life = life)); }
      return;
    }
    ballot = BallotOf(m.version);
    if (ballot > replicas[h].promised) {
      if (h in primaries) { StepDown(h); }
      replicas[h].promised = ballot;
      RefuseOwedVotes(h);
    }
    if (ballot != replicas[h].promised) { return; }
    if (replicas[h].promisedOnDisk < ballot) {
      if (Dies()) { return; }
      Flush(h);
      if (!Planted(PROMISE_NOT_DURABLE)) { replicas[h].promisedOnDisk = ballot; }
      // A suspect stays one, also when its process is started anew.
      if (!replicas[h].suspect || Planted(PROMISE_CLEARS_SUSPICION)) { replicas[h].metadataBoot = boot; }
      if (Dies()) { return; }
    }
    Send(master, ePromiseReply, (member = this, handle = h, version = m.version, suspect = replicas[h].suspect, life = life,
      tail = sizeof(replicas[h].log), committed = replicas[h].committed));
  }

  fun OnGrant(m: (handle: int, version: int, members: set[machine], seal: bool)) {
    var h: int;
    var ballot: int;
    h = m.handle;
    ballot = BallotOf(m.version);
    if (!(h in replicas)) { return; }
    if (h in primaries && VersionOf(primaries[h].ballot) == m.version) { return; }
    if (ballot < replicas[h].promised) { return; }
    if (replicas[h].suspect) { return; }                    // it was none when it promised
    // A ballot serves one incarnation of a primary only.
    if (m.version < VersionOf(replicas[h].lastView)) { return; }
    if (m.version == VersionOf(replicas[h].lastView) && !Planted(VERSION_REGRANTED)) { return; }
    if (h in primaries) { StepDown(h); }
    RefuseOwedVotes(h);
    if (Planted(DOUBT_DROPPED)) { Cut(h, replicas[h].committed); }
    if (Dies()) { return; }
    Flush(h);
    if (Dies()) { return; }
    RecordView(h, ballot);
    if (Dies()) { return; }
    StartPrimary(h, ballot, m.members, m.seal);
  }

  fun OnSealChunk(m: (handle: int, version: int)) {
    if (m.handle in primaries && VersionOf(primaries[m.handle].ballot) == m.version) {
      primaries[m.handle].seal = true;
      SealIfWanted(m.handle);
    }
  }

  fun OnConfirmSeal(m: (handle: int, version: int, length: int)) {
    var h: int;
    h = m.handle;
    if (!(h in replicas)) { return; }
    if (EndsInSeal(replicas[h].log) && sizeof(replicas[h].log) == m.length
        && (VersionOf(replicas[h].lastView) == m.version || Planted(CONFIRM_SEAL_UNCHECKED))) {
      Commit(h, Least(sizeof(replicas[h].log), replicas[h].held));
    }
  }

  // ================================================================ making a replica

  fun OnCreateChunk(m: (handle: int, index: int, base: tChunkBase, life: int)) {
    if (m.life != life) { return; }
    if (m.handle in replicas) {
      Send(master, eCreateChunkReply, (server = this, handle = m.handle));
      return;
    }
    if (m.base.previousHandle == 0 || Planted(BASE_FORGOTTEN)) {
      Create(m.handle, m.index, default(tTable));
      return;
    }
    if (HasBase(m.base.previousHandle, m.base.previousLength, m.base.digest)) {
      Create(m.handle, m.index, Table(m.base.previousHandle));
      return;
    }
    awaitedBases[m.handle] = (index = m.index, base = m.base);
    Send(choose(m.base.sources), eFetchBase, (asker = this, handle = m.base.previousHandle, length = m.base.previousLength,
      digest = m.base.digest, wantedFor = m.handle));
  }

  fun HasBase(h: int, length: int, digest: tTable): bool {
    if (!(h in replicas)) { return false; }
    if (Planted(BASE_NOT_VERIFIED)) { return true; }
    return EndsInSeal(replicas[h].log) && sizeof(replicas[h].log) == length && Table(h) == digest;
  }

  fun OnFetchBase(m: (asker: machine, handle: int, length: int, digest: tTable, wantedFor: int)) {
    if (HasBase(m.handle, m.length, m.digest)) { Send(m.asker, eFetchBaseReply, (wantedFor = m.wantedFor, table = Table(m.handle))); }
  }

  fun OnFetchBaseReply(m: (wantedFor: int, table: tTable)) {
    if (!(m.wantedFor in awaitedBases)) { return; }
    if (m.table == awaitedBases[m.wantedFor].base.digest || Planted(BASE_NOT_VERIFIED)) {
      Create(m.wantedFor, awaitedBases[m.wantedFor].index, m.table);
    }
  }

  fun Create(h: int, index: int, base: tTable) {
    var made: tReplica;
    made.index = index;
    made.base = base;
    made.metadataBoot = boot;
    replicas[h] = made;
    IsOnDisk(h);
    if (h in awaitedBases) { awaitedBases -= (h); }
    Send(master, eCreateChunkReply, (server = this, handle = h));
  }

  // ================================================================ what the master is told; copies of sealed chunks

  fun Register() {
    var h: int;
    if (world == (USUAL to int)) { return; }
    send master, eRegister, (server = this, life = life);
    foreach (h in keys(replicas)) { Report(h); }
    send master, eReportEnds, this;
  }

  fun Report(h: int) {
    var report: tReport;
    if (world == (USUAL to int)) { return; }
    report.server = this;
    report.handle = h;
    report.gone = !(h in replicas);
    if (h in replicas) {
      report.lastView = replicas[h].lastView;
      report.tail = sizeof(replicas[h].log);
      report.committed = OnceCommitted(h);
      report.endsInSeal = EndsInSeal(replicas[h].log);
      report.isSealed = IsSealed(h);
    }
    send master, eReport, report;
  }

  fun OnceCommitted(h: int): int { return Most(replicas[h].committed, CommittedHint(replicas[h].log)); }

  fun HasAllOf(h: int, length: int): bool { return h in replicas && IsSealed(h) && sizeof(replicas[h].log) == length; }

  // 1: what is here already serves meanwhile. 2, 3: in OnReadFramesReply.
  fun OnCloneChunk(m: (handle: int, version: int, length: int, sources: set[machine])) {
    if (HasAllOf(m.handle, m.length) || MustStay(m.handle, m.version + 1, m.length)) { Report(m.handle); return; }
    if (Planted(COPY_DELETES_FIRST) && m.handle in replicas) { Remove(m.handle, default(seq[tFrame])); }
    Send(choose(m.sources), eReadFrames, (asker = this, handle = m.handle, version = m.version, length = m.length));
  }

  fun OnReadFrames(m: (asker: machine, handle: int, version: int, length: int)) {
    if (HasAllOf(m.handle, m.length)) {
      Send(m.asker, eReadFramesReply, (handle = m.handle, version = m.version, length = m.length, index = replicas[m.handle].index,
        base = replicas[m.handle].base, log = replicas[m.handle].log));
    }
  }

  // 2: what is here ends, unless it must stay. 3: the copy takes its place.
  fun OnReadFramesReply(m: (handle: int, version: int, length: int, index: int, base: tTable, log: seq[tFrame])) {
    var copy: tReplica;
    var h: int;
    h = m.handle;
    if (HasAllOf(h, m.length) || MustStay(h, m.version + 1, m.length)) { Report(h); return; }
    if (h in replicas) { Remove(h, m.log); }
    copy.index = m.index;
    copy.base = m.base;
    copy.log = m.log;
    copy.medium = m.log;
    copy.held = m.length;
    copy.promised = BallotOf(m.version);
    copy.promisedOnDisk = copy.promised;
    copy.lastView = copy.promised;
    copy.metadataBoot = boot;
    replicas[h] = copy;
    Commit(h, m.length);
  }

  fun OnDeleteChunk(m: (handle: int, onlyIfPromisedBelow: int, onlyIfSealedAt: int)) {
    if (m.handle in replicas && !MustStay(m.handle, m.onlyIfPromisedBelow, m.onlyIfSealedAt)) { Remove(m.handle, default(seq[tFrame])); }
    Report(m.handle);
  }

  // It has promised a version that the master did not know of, or knows of a committed frame that the sealed chunk lacks.
  fun MustStay(h: int, promisedBelow: int, sealedLength: int): bool {
    if (!(h in replicas)) { return false; }
    return replicas[h].promised >= BallotOf(promisedBelow) || (HasMore(OnceCommitted(h), sealedLength) && !Planted(LATE_MEMBER_DELETED));
  }

  fun Remove(h: int, copy: seq[tFrame]) {
    if (h in primaries) { StepDown(h); }
    announce eReplicaGoes, (server = this, handle = h, log = replicas[h].log, known = OnceCommitted(h), copy = copy);
    replicas -= (h);
  }

  fun OnRead(m: (reader: machine, question: int, handle: int, version: int)) {
    if (!(m.handle in replicas)) { return; }
    if (m.version > 0 && (!(m.handle in primaries) || !primaries[m.handle].active || VersionOf(primaries[m.handle].ballot) != m.version)) { return; }
    Send(m.reader, eReadReply, (question = m.question, handle = m.handle, frames = Prefix(replicas[m.handle].log, replicas[m.handle].committed)));
  }

  // ================================================================ primary: its life

  fun StartPrimary(h: int, ballot: int, members: set[machine], seal: bool) {
    var primary: tPrimary;
    primary.ballot = ballot;
    primary.members = members;
    primary.seal = seal;
    primaries[h] = primary;
    SendToSecondaries(h);
    Advance(h);
  }

  // Whoever waits is left in doubt.
  fun StepDown(h: int) {
    var waiter: tWaiter;
    foreach (waiter in primaries[h].waiters) { Answer(waiter.call, RETRY, primaries[h].ballot, default(tPlace), 0); }
    primaries -= (h);
  }

  fun StepDownEverywhere() {
    var h: int;
    foreach (h in keys(primaries)) { StepDown(h); }
  }

  // Everything that is not committed is cut in a new attempt of the same version.
  fun AbortEverywhere() {
    var h: int;
    foreach (h in keys(primaries)) {
      if (h in primaries && (primaries[h].active || Planted(ABORT_WHILE_RECOVERING)) && replicas[h].committed < sizeof(replicas[h].log)) { Abort(h); }
    }
  }

  fun Abort(h: int) {
    var old: tPrimary;
    var member: machine;
    old = primaries[h];
    StepDown(h);
    Cut(h, replicas[h].committed);
    if (Dies()) { return; }
    Flush(h);
    if (Dies()) { return; }
    if (Planted(ABORT_KEEPS_BALLOT)) {
      old.waiters = default(seq[tWaiter]);
      old.seal = true;
      foreach (member in old.members) {
        old.acked[member] = sizeof(replicas[h].log);
        old.next[member] = sizeof(replicas[h].log);
      }
      primaries[h] = old;
      SealIfWanted(h);
      return;
    }
    RecordView(h, old.ballot + 1);
    if (Dies()) { return; }
    StartPrimary(h, old.ballot + 1, old.members, true);
  }

  // ================================================================ primary, step 1: refuse, answer from the table, or sequence

  fun OnAppend(call: tAppend) {
    var h: int;
    h = call.handle;
    if (!(h in replicas)) { Answer(call, NOT_PRIMARY, 0, default(tPlace), 0); return; }
    if (h in primaries && call.knownBallot > primaries[h].ballot) { StepDown(h); }
    if (!(h in primaries)) {
      if (IsSealed(h)) { Answer(call, SEALED, replicas[h].lastView, default(tPlace), 0); }
      else { Answer(call, NOT_PRIMARY, replicas[h].lastView, default(tPlace), 0); }
      return;
    }
    // The client's patience stands for the primary's timer.
    if (!primaries[h].active) {
      AnswerAs(call, RETRY, 0);
      SendAgain(h);
    }
    else if (call.sequence == 0) { TakeInit(h, call); }
    else { TakeAppend(h, call); }
  }

  fun Answer(call: tAppend, status: tAppendStatus, ballot: int, place: tPlace, lastSequence: int) {
    Send(call.client, eAppendReply, (call = call, status = status, ballot = ballot, place = place, lastSequence = lastSequence));
  }

  fun AnswerAs(call: tAppend, status: tAppendStatus, lastSequence: int) {
    Answer(call, status, primaries[call.handle].ballot, default(tPlace), lastSequence);
  }

  fun TakeAppend(h: int, call: tAppend) {
    var table: tTable;
    if (!Planted(NO_TABLE)) {
      table = Table(h);
      if (Planted(TABLE_OF_COMMITTED)) { table = Fold(replicas[h].base, replicas[h].index, replicas[h].log, replicas[h].committed); }
      if (AnsweredFromTable(h, call, table)) { return; }
    }
    if (!MakeRoom(h, call)) { return; }
    Wait(h, call, sizeof(replicas[h].log) + 1, COMMITTED, PlaceOf(h, call.sequence), call.sequence);
    Sequence(h, FrameOf(h, DATA, call));
  }

  // What is committed is answered from the committed state only; what is in flight shares that frame's fate; what is older than the
  // window was committed.
  fun AnsweredFromTable(h: int, call: tAppend, table: tTable): bool {
    var row: tWriterEntry;
    var place: tPlace;
    if (call.writer in table) { row = table[call.writer]; }
    if (call.epoch > row.epoch && !Planted(BASE_FORGOTTEN)) { AnswerAs(call, UNKNOWN_WRITER, row.last); return true; }
    if (call.epoch < row.epoch && !Planted(EPOCH_NOT_FENCED)) {
      // FENCED is for ever, and an INIT in flight may be cut.
      if (IsInitInFlight(h, call.writer) && !Planted(FENCED_TOO_SURE)) {
        AnswerAs(call, RETRY, 0);
        SendAgain(h);
      }
      else { AnswerAs(call, FENCED, row.last); }
      return true;
    }
    if (call.sequence == row.last + 1) {
      if (sizeof(row.places) < Window() || !IsInFlight(h, row.places[0]) || Planted(WINDOW_OVERRUN)) { return false; }
      AnswerAs(call, BUSY, 0);
      return true;
    }
    if (call.sequence > row.last) {
      if (Planted(GAP_ACCEPTED) || Planted(BASE_FORGOTTEN)) { return false; }
      // In a chunk that takes nothing more the batch before it went to the next chunk, or will.
      if (primaries[h].seal || EndsInSeal(replicas[h].log)) { return false; }
      AnswerAs(call, OUT_OF_ORDER, row.last);
      return true;
    }
    foreach (place in row.places) {
      if (place.sequence == call.sequence) {
        if (IsInFlight(h, place)) { Wait(h, call, place.offset + 1, COMMITTED, place, call.sequence); SendAgain(h); }
        else { Answer(call, COMMITTED, primaries[h].ballot, place, call.sequence); }
        return true;
      }
    }
    if (call.sequence <= CommittedSequenceOf(h, row)) { AnswerAs(call, ALREADY_COMMITTED, 0); return true; }
    if (Planted(ALREADY_COMMITTED_IN_FLIGHT)) { AnswerAs(call, ALREADY_COMMITTED, 0); return true; }
    assert Planted(WINDOW_OVERRUN), format("OPERATION ID REUSED: {0}, the table says {1}", call, row);
    return true;
  }

  fun IsInFlight(h: int, place: tPlace): bool {
    return place.index == replicas[h].index && place.offset >= replicas[h].committed && !Planted(ALREADY_COMMITTED_IN_FLIGHT);
  }

  fun IsInitInFlight(h: int, writer: int): bool {
    var frame: tFrame;
    foreach (frame in FramesFrom(replicas[h].log, replicas[h].committed)) {
      if (frame.kind == INIT_WRITER && frame.writer == writer) { return true; }
    }
    return false;
  }

  fun CommittedSequenceOf(h: int, row: tWriterEntry): int {
    var place: tPlace;
    foreach (place in row.places) {
      if (IsInFlight(h, place)) { return place.sequence - 1; }
    }
    return row.last;
  }

  // INIT is a frame of the log: once it is committed nothing of an older epoch can ever be sequenced.
  fun TakeInit(h: int, call: tAppend) {
    var table: tTable;
    var row: tWriterEntry;
    var waiter: tWaiter;
    table = Table(h);
    if (call.writer in table) { row = table[call.writer]; }
    if (call.epoch < row.epoch) { AnswerAs(call, FENCED, row.last); return; }
    if (call.epoch == row.epoch) {
      foreach (waiter in primaries[h].waiters) {
        if (waiter.call.sequence == 0 && waiter.call.writer == call.writer && waiter.call.epoch == call.epoch && waiter.status == COMMITTED) {
          Wait(h, call, waiter.end, COMMITTED, waiter.place, waiter.lastSequence);
          SendAgain(h);
          return;
        }
      }
      AnswerAs(call, COMMITTED, CommittedSequenceOf(h, row));
      return;
    }
    if (!MakeRoom(h, call)) { return; }
    Wait(h, call, sizeof(replicas[h].log) + 1, COMMITTED, default(tPlace), row.last);
    Sequence(h, FrameOf(h, INIT_WRITER, call));
  }

  // False: the chunk takes nothing more, and the call waits for its SEAL.
  fun MakeRoom(h: int, call: tAppend): bool {
    if (sizeof(replicas[h].log) >= Capacity() || sizeof(primaries[h].members) < MinMembers()) { primaries[h].seal = true; }
    SealIfWanted(h);
    if (!EndsInSeal(replicas[h].log)) { return true; }
    if (IsSealed(h)) { AnswerAs(call, SEALED, 0); ReportSeal(h); }
    else { Wait(h, call, sizeof(replicas[h].log), SEALED, default(tPlace), 0); SendAgain(h); }
    return false;
  }

  fun Wait(h: int, call: tAppend, end: int, status: tAppendStatus, place: tPlace, lastSequence: int) {
    primaries[h].waiters += (sizeof(primaries[h].waiters), (call = call, end = end, status = status, place = place, lastSequence = lastSequence));
  }

  fun PlaceOf(h: int, sequence: int): tPlace {
    return (sequence = sequence, index = replicas[h].index, offset = sizeof(replicas[h].log));
  }

  fun FrameOf(h: int, kind: tFrameKind, call: tAppend): tFrame {
    return (kind = kind, ballot = primaries[h].ballot, writer = call.writer, epoch = call.epoch, sequence = call.sequence, committed = replicas[h].committed);
  }

  fun SealIfWanted(h: int) {
    if (primaries[h].seal && primaries[h].active && !EndsInSeal(replicas[h].log)) {
      Sequence(h, (kind = SEAL, ballot = primaries[h].ballot, writer = 0, epoch = 0, sequence = 0, committed = replicas[h].committed));
      if (Planted(SEALED_TOO_SOON)) { ReportSeal(h); }
    }
  }

  // ================================================================ primary, step 2: to the disk and to every secondary

  fun Sequence(h: int, frame: tFrame) {
    announce eSequenced, (handle = h, index = replicas[h].index, offset = sizeof(replicas[h].log), frame = frame);
    WriteFrame(h, frame);
    FramesWereWritten(h);
    SendToSecondaries(h);
    if (memory) { Advance(h); }
    else { StartFlush(h); }
  }

  fun SendToSecondaries(h: int) {
    var member: machine;
    foreach (member in primaries[h].members) {
      if (member != this) { SendTo(h, member, false); }
    }
  }

  fun SendTo(h: int, member: machine, evenNothing: bool) {
    var log: seq[tFrame];
    var from: int;
    log = replicas[h].log;
    from = sizeof(log);
    if (!(member in primaries[h].following)) {
      if (member in primaries[h].wants) { from = primaries[h].wants[member]; }
      Send(member, eNewView, (sender = this, handle = h, ballot = primaries[h].ballot, lineage = LineageOf(log), tail = sizeof(log),
        baseDigest = replicas[h].base, framesFrom = from, frames = FramesFrom(log, from)));
      return;
    }
    if (member in primaries[h].next) { from = primaries[h].next[member]; }
    if (from == sizeof(log) && !evenNothing) { return; }
    primaries[h].next[member] = sizeof(log);
    Send(member, ePrepare, (sender = this, handle = h, ballot = primaries[h].ballot, offset = from, frames = FramesFrom(log, from),
      committed = replicas[h].committed));
  }

  // Instead of a timer: what was sent and not acknowledged goes again, the watermark and the report of the SEAL too. Whoever owes a vote may be accused.
  fun SendAgain(h: int) {
    var member: machine;
    foreach (member in primaries[h].members) {
      if (member != this) {
        if (member in primaries[h].following) { primaries[h].next[member] = primaries[h].acked[member]; }
        SendTo(h, member, true);
        if ((!(member in primaries[h].following) || primaries[h].acked[member] < sizeof(replicas[h].log)) && choose(10) == 0) { Accuse(h, member); }
      }
    }
  }

  fun Accuse(h: int, member: machine) {
    Send(master, eSuspect, (sender = this, handle = h, version = VersionOf(primaries[h].ballot), member = member));
  }

  // ================================================================ primary, step 3: votes

  fun OnVote(vote: (voter: machine, handle: int, asked: int, status: tVoteStatus, durable: int)) {
    var h: int;
    var member: machine;
    h = vote.handle;
    member = vote.voter;
    if (!(h in primaries) || primaries[h].ballot != vote.asked || !(member in primaries[h].members)) { return; }
    if (vote.status == VOTED) {
      if (!(member in primaries[h].following)) {
        primaries[h].following += (member);
        if (member in primaries[h].wants) { primaries[h].wants -= (member); }
        primaries[h].next[member] = vote.durable;
      }
      if (!(member in primaries[h].acked) || primaries[h].acked[member] < vote.durable) { primaries[h].acked[member] = vote.durable; }
      Advance(h);
      if (h in primaries) { SendTo(h, member, false); }
    }
    else if (vote.status == GAP) {
      primaries[h].next[member] = Least(vote.durable, sizeof(replicas[h].log));
      SendTo(h, member, false);
    }
    else if (vote.status == NEED_VIEW) {
      // A follower that forgot what it voted for: a view is never installed twice, so it needs a new ballot.
      if (member in primaries[h].following && primaries[h].active && !Planted(VIEW_AGAIN_FOR_SUSPECT)) { Abort(h); return; }
      if (member in primaries[h].following) { primaries[h].following -= (member); }
      SendTo(h, member, false);
    }
    else if (vote.status == NEED_FRAMES) {
      primaries[h].wants[member] = Least(vote.durable, sizeof(replicas[h].log));
      SendTo(h, member, false);
    }
    else if (vote.status == VOTE_STALE) { StepDown(h); }
    else { Accuse(h, member); }
  }

  // ================================================================ primary, step 4: the watermark

  // What every member holds; -1: not all of them follow.
  fun HeldByAll(h: int): int {
    var member: machine;
    var held: int;
    var holders: int;
    held = replicas[h].held;
    if (Planted(MAJORITY_COMMITS)) {
      while (true) {
        holders = 1;
        foreach (member in primaries[h].following) { if (primaries[h].acked[member] >= held) { holders = holders + 1; } }
        if (holders * 2 > sizeof(primaries[h].members)) { return held; }
        if (held == 0) { return -1; }
        held = held - 1;
      }
    }
    foreach (member in primaries[h].members) {
      if (member != this) {
        if (!(member in primaries[h].following)) { return -1; }
        held = Least(held, primaries[h].acked[member]);
      }
    }
    return held;
  }

  fun Advance(h: int) {
    var held: int;
    var offset: int;
    var waiter: tWaiter;
    var left: seq[tWaiter];
    var member: machine;
    held = HeldByAll(h);
    if (held < 0) { return; }
    if (!primaries[h].active) {
      if (held < sizeof(replicas[h].log)) { return; }
      primaries[h].active = true;
      announce eViewActive, (index = replicas[h].index, ballot = primaries[h].ballot, log = replicas[h].log);
    }
    if (held > replicas[h].committed) {
      offset = replicas[h].committed;
      while (offset < held) {
        announce eCommitted, (handle = h, offset = offset, frame = replicas[h].log[offset]);
        offset = offset + 1;
      }
      Commit(h, held);
      foreach (member in primaries[h].members) {          // alone; otherwise with the next PREPARE
        if (member != this && $) { SendTo(h, member, true); }
      }
    }
    foreach (waiter in primaries[h].waiters) {
      if (waiter.end <= replicas[h].committed) { Answer(waiter.call, waiter.status, primaries[h].ballot, waiter.place, waiter.lastSequence); }
      else { left += (sizeof(left), waiter); }
    }
    primaries[h].waiters = left;
    if (IsSealed(h)) { ReportSeal(h); }
    else { SealIfWanted(h); }
  }

  fun ReportSeal(h: int) {
    Send(master, eSealed, (sender = this, handle = h, version = VersionOf(primaries[h].ballot), length = sizeof(replicas[h].log), baseDigest = Table(h)));
  }

  // ================================================================ death

  fun StopCleanly() {
    var h: int;
    foreach (h in keys(replicas)) {
      Flush(h);
      replicas[h].committedOnDisk = replicas[h].committed;
    }
  }

  // The server that gets an empty disk is started at once.
  fun LoseDisk(isReplaced: bool) {
    announce eDiskDied, this;
    replicas = default(map[int, tReplica]);
    life = life + 1;
    if (!isReplaced) { goto Gone; }
    Restart(true);
    goto Serving;
  }

  // Which no checksum tells: also what the metadata says of them is older.
  fun ForgetTails() {
    var h: int;
    foreach (h in keys(replicas)) {
      if (!replicas[h].sealRecorded && sizeof(replicas[h].log) > 0) {
        replicas[h].log = Prefix(replicas[h].log, choose(sizeof(replicas[h].log)));
        replicas[h].medium = replicas[h].log;
        replicas[h].committedOnDisk = Least(replicas[h].committedOnDisk, sizeof(replicas[h].log));
        IsOnDisk(h);
      }
    }
  }

  // For the promises.
  fun IsOnDisk(h: int) {
    if (world != (USUAL to int)) { announce eOnDisk, (server = this, handle = h, log = replicas[h].medium); }
  }

  // True: the process has died and was started again, in the middle of a step.
  fun Dies(): bool {
    if (stepsToDeath == 0) { return false; }
    stepsToDeath = stepsToDeath - 1;
    if (stepsToDeath > 0) { return false; }
    Restart(!memory && $);
    return true;
  }

  fun Restart(powerWasLost: bool) {
    var h: int;
    var replica: tReplica;
    if (powerWasLost) { boot = boot + 1; }
    primaries = default(map[int, tPrimary]);
    awaitedBases = default(map[int, (index: int, base: tChunkBase)]);
    stepsToDeath = 0;
    foreach (h in keys(replicas)) {
      replica = replicas[h];
      if (powerWasLost) {
        replica.log = AfterPowerLoss(replica);
        replica.medium = replica.log;
      }
      replica.promised = replica.promisedOnDisk;
      replica.heardCommitted = 0;
      replica.generation = replica.generation + 1;
      replica.flushing = false;
      replica.owedVotes = default(seq[tOwedVote]);
      replica.suspect = memory && !replica.sealRecorded && replica.metadataBoot != boot && !Planted(SUSPECT_BELIEVED);
      replica.committed = 0;
      // Before the first vote or promise: what the scan finds may be in the page cache only.
      if (!Planted(FOUND_NOT_FLUSHED)) { replica.medium = replica.log; }
      replica.held = sizeof(replica.log);
      replicas[h] = replica;
      IsOnDisk(h);
      if (replica.sealRecorded) { Commit(h, sizeof(replica.log)); }
      else { Commit(h, Least(Most(CommittedHint(replica.log), replica.committedOnDisk), sizeof(replica.log))); }
    }
    Register();
  }

  // Of what no flush covered each write, also a cut, may have reached the disk or not. Frames are chained: what is found is a prefix of one of the two.
  fun AfterPowerLoss(replica: tReplica): seq[tFrame] {
    var common: int;
    if ($) { return replica.medium; }
    while (common < sizeof(replica.log) && common < sizeof(replica.medium) && replica.log[common] == replica.medium[common]) { common = common + 1; }
    return Prefix(replica.log, common + choose(sizeof(replica.log) - common + 1));
  }
}

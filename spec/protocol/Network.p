// The network loses, repeats, delays and reorders. Whoever sends by it repeats what got no answer; in the model not by timers, but when a
// client asks again.

// Most of what is late comes a few steps late; some comes when everything else is over.
machine Delayed {
  var receiver: machine;
  var message: event;
  var body: any;

  start state InTransit {
    entry (m: (receiver: machine, message: event, body: any)) {
      receiver = m.receiver;
      message = m.message;
      body = m.body;
      if (choose(10) == 0) { send this, eTick; }
      else { Arrive(); }
    }
    on eTick do {
      if (choose(50) > 0) { send this, eTick; }
      else { Arrive(); }
    }
  }

  fun Arrive() {
    send receiver, message, body;
    raise halt;
  }
}

// 1/12 is lost, 1/12 arrives twice, 1/3 late, the rest in order.
fun Send(receiver: machine, message: event, body: any) {
  var fate: int;
  if (faults == 0) { send receiver, message, body; return; }
  fate = choose(12);
  if (fate == 0) { return; }
  if (fate > 5) { send receiver, message, body; return; }
  if (fate == 1) { send receiver, message, body; }
  new Delayed((receiver = receiver, message = message, body = body));
}

// A client's patience. Takes its time: otherwise everybody would ask faster than anybody can answer.
machine Timer {
  var owner: machine;
  var number: int;
  var isRunning: bool;

  start state Waiting {
    entry (whose: machine) { owner = whose; }
    on eSetTimer do (what: int) {
      number = what;
      if (!isRunning) { send this, eTick; }
      isRunning = true;
    }
    on eTick do {
      isRunning = choose(12) > 0;
      if (isRunning) { send this, eTick; }
      else { send owner, eNoAnswer, number; }
    }
  }
}

// Package devstack runs the whole product on one Debian machine without containers: PostgreSQL,
// Redis, Temporal, clamd, Nginx, a mail catcher, the Meta simulator and our own modes, each as a
// child process on ports and in folders of its own.
//
// Its law: a stack touches nothing outside its own folder (and, where PostgreSQL's user cannot
// enter that folder, one more folder under the system's temporary directory), so that a server
// already on the machine and the stack of another checkout are left alone.
//
// A Stack supervises its servers in the process that called Start: it forks, reaps, restarts and
// stops them, and they die with it. Everything another process needs to know (ports, process ids,
// the secrets made for this stack) is in the folder's run.json, read by Load. Up starts such a
// supervisor as a detached process; Down ends it, or what it left behind.
package devstack

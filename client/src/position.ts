/**
 * How far a client has read a room. One value: it is taken from a frame of the server as a whole and replaced as a whole.
 * It is good at every edge, is no secret, and may be stored as JSON.
 */
export interface Position {
  /** Names the life of the stream: a stream that was created anew counts from 1 again. */
  readonly epoch: string;
  /** Place in the stream, at least 1. Grows within a room, but not by one. */
  readonly seq: number;
  /** Id of the event at `seq`; absent when there is none. */
  readonly id?: string | undefined;
  /** Server time, Unix milliseconds, at which this was last known to be the newest of its room. */
  readonly ts?: number;
}

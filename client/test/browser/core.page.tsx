/** A page that follows a room. */
import { followRoom } from "./follower.js";

followRoom();

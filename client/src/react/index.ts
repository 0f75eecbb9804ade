/**
 * `@tidings/client/react`: hooks that follow rooms, events and the connection. Give a client to `TidingsProvider`, then start at
 * `useRoom` or `useCampaignSubscription`.
 *
 * @packageDocumentation
 */
"use client";

export { useConnectionNotice, useWebSocketConnection, type ConnectionNotice } from "./connection.js";
export { useWebSocketSubscription } from "./handler.js";
export { ConnectionIndicator, type ConnectionIndicatorProps } from "./indicator.js";
export { TidingsProvider, useTidings, type TidingsProviderProps } from "./provider.js";
export {
  useCampaignSubscription,
  useRoom,
  useSettlementSubscription,
  useStructureSubscription,
  type RoomHandlers,
  type RoomStatus,
  type UseRoomOfKind,
} from "./room.js";

/** What the page asks the campaign's API for. Events keep it up to date from then on. */
import { gql, type TypedDocumentNode } from "@apollo/client";

export interface Structure {
  readonly id: string;
  readonly kind: string;
  readonly level: number;
  readonly condition: number;
}

export interface Settlement {
  readonly id: string;
  readonly name: string;
  readonly population: number;
  readonly prosperity: number;
  readonly mood: string;
  readonly structures: readonly Structure[];
}

export interface Entry {
  readonly id: string;
  readonly at: string;
  readonly text: string;
}

export interface Campaign {
  readonly id: string;
  readonly name: string;
  readonly worldTime: string;
  readonly rate: number;
  readonly at: string;
  readonly party: { readonly id: string; readonly name: string; readonly place: string; readonly gold: number };
}

export const World: TypedDocumentNode<{ campaign: Campaign; settlements: Settlement[] }> = gql`
  query World {
    campaign { id name worldTime rate at version party { id name place gold version } }
    settlements {
      id name population prosperity mood version
      structures { id kind level condition version }
    }
  }
`;

export const Chronicle: TypedDocumentNode<{ chronicle: Entry[] }> = gql`
  query Chronicle {
    chronicle(last: 5) { id at text }
  }
`;

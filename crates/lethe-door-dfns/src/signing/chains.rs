//! Networks and kinds of blockchains: what a request may name, and whose form a signature gets.

use serde_json::{Map, Value};

use super::Refused;
use super::fields::text;

/// A kind of blockchain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chain {
    Algorand,
    Aptos,
    Bitcoin,
    BitcoinCash,
    Canton,
    Cardano,
    Concordium,
    Cosmos,
    Evm,
    Hedera,
    Icp,
    Iota,
    Kadena,
    Kaspa,
    Near,
    Polymesh,
    Solana,
    Starknet,
    Stellar,
    Substrate,
    Sui,
    Tezos,
    Ton,
    Tron,
    Xrpl,
}

/// The kinds by their names.
const BLOCKCHAIN_KINDS: &[(&str, Chain)] = &[
    ("Algorand", Chain::Algorand),
    ("Aptos", Chain::Aptos),
    ("Bitcoin", Chain::Bitcoin),
    ("BitcoinCash", Chain::BitcoinCash),
    ("Canton", Chain::Canton),
    ("Cardano", Chain::Cardano),
    ("Concordium", Chain::Concordium),
    ("Cosmos", Chain::Cosmos),
    ("Evm", Chain::Evm),
    ("Hedera", Chain::Hedera),
    ("Icp", Chain::Icp),
    ("Iota", Chain::Iota),
    ("Kadena", Chain::Kadena),
    ("Kaspa", Chain::Kaspa),
    ("Near", Chain::Near),
    ("Polymesh", Chain::Polymesh),
    ("Solana", Chain::Solana),
    ("Starknet", Chain::Starknet),
    ("Stellar", Chain::Stellar),
    ("Substrate", Chain::Substrate),
    ("Sui", Chain::Sui),
    ("Tezos", Chain::Tezos),
    ("Ton", Chain::Ton),
    ("Tron", Chain::Tron),
    ("Xrpl", Chain::Xrpl),
];

/// What a request names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Named {
    /// The network, where every client can read it in an answer.
    pub(super) network: Option<&'static str>,
    /// The kind, by whichever of the two fields; `None` also for a network of a kind that has no
    /// name.
    pub(super) chain: Option<Chain>,
    /// Whether one of the fields was there.
    pub(super) is_named: bool,
}

impl Named {
    /// Reads `network` and `blockchainKind`.
    pub(super) fn read(body: &Map<String, Value>) -> Result<Self, Refused> {
        let mut named = Self::default();
        if let Some(name) = text(body, "network")? {
            let current = NETWORKS.iter().find(|(known, _)| *known == name);
            let older = || OLDER_NETWORKS.iter().find(|(known, _)| *known == name);
            let (_, chain) = current
                .or_else(older)
                .ok_or_else(|| Refused::field("network", "is no known network"))?;
            named = Self { network: current.map(|row| row.0), chain: *chain, is_named: true };
        }
        if let Some(name) = text(body, "blockchainKind")? {
            let found = BLOCKCHAIN_KINDS.iter().find(|(known, _)| *known == name);
            let (_, chain) =
                *found.ok_or_else(|| Refused::field("blockchainKind", "is no known kind"))?;
            if named.chain.is_some_and(|other| other != chain) {
                return Err(Refused::field("blockchainKind", "is not the network's"));
            }
            named.chain = Some(chain);
            named.is_named = true;
        }
        Ok(named)
    }

    /// Whether what is named, if anything is, can be this kind.
    pub(super) fn can_be(&self, chain: Chain) -> bool {
        self.chain.is_none_or(|named| named == chain)
    }

    /// Whether it is this kind.
    pub(super) fn is(&self, chain: Chain) -> bool {
        self.chain == Some(chain)
    }
}

/// Networks that requests and answers may name, with their kinds where they have one that is named.
const NETWORKS: &[(&str, Option<Chain>)] = &[
    ("Algorand", Some(Chain::Algorand)),
    ("AlgorandTestnet", Some(Chain::Algorand)),
    ("Aptos", Some(Chain::Aptos)),
    ("AptosTestnet", Some(Chain::Aptos)),
    ("ArbitrumOne", Some(Chain::Evm)),
    ("ArbitrumSepolia", Some(Chain::Evm)),
    ("Arc", Some(Chain::Evm)),
    ("ArcTestnet", Some(Chain::Evm)),
    ("Areum", Some(Chain::Evm)),
    ("AvalancheC", Some(Chain::Evm)),
    ("AvalancheCFuji", Some(Chain::Evm)),
    ("Base", Some(Chain::Evm)),
    ("BaseSepolia", Some(Chain::Evm)),
    ("Berachain", Some(Chain::Evm)),
    ("BerachainBepolia", Some(Chain::Evm)),
    ("Bitcoin", Some(Chain::Bitcoin)),
    ("BitcoinSignet", Some(Chain::Bitcoin)),
    ("BitcoinTestnet4", Some(Chain::Bitcoin)),
    ("BitcoinCash", Some(Chain::BitcoinCash)),
    ("Bob", Some(Chain::Evm)),
    ("BobSepolia", Some(Chain::Evm)),
    ("Bsc", Some(Chain::Evm)),
    ("BscTestnet", Some(Chain::Evm)),
    ("Canton", Some(Chain::Canton)),
    ("CantonTestnet", Some(Chain::Canton)),
    ("Cardano", Some(Chain::Cardano)),
    ("CardanoPreprod", Some(Chain::Cardano)),
    ("Concordium", Some(Chain::Concordium)),
    ("ConcordiumTestnet", Some(Chain::Concordium)),
    ("Celo", Some(Chain::Evm)),
    ("CeloSepolia", Some(Chain::Evm)),
    ("Codex", Some(Chain::Evm)),
    ("CodexSepolia", Some(Chain::Evm)),
    ("CosmosHub4", Some(Chain::Cosmos)),
    ("CosmosIcsTestnet", Some(Chain::Cosmos)),
    ("Dogecoin", None),
    ("DogecoinTestnet", None),
    ("Ethereum", Some(Chain::Evm)),
    ("EthereumClassic", Some(Chain::Evm)),
    ("EthereumClassicMordor", Some(Chain::Evm)),
    ("EthereumSepolia", Some(Chain::Evm)),
    ("EthereumHoodi", Some(Chain::Evm)),
    ("FlareC", Some(Chain::Evm)),
    ("FlareCCoston2", Some(Chain::Evm)),
    ("FlowEvm", Some(Chain::Evm)),
    ("FlowEvmTestnet", Some(Chain::Evm)),
    ("Hedera", Some(Chain::Hedera)),
    ("HederaTestnet", Some(Chain::Hedera)),
    ("HyperEvm", Some(Chain::Evm)),
    ("HyperEvmTestnet", Some(Chain::Evm)),
    ("Ink", Some(Chain::Evm)),
    ("InkSepolia", Some(Chain::Evm)),
    ("InternetComputer", Some(Chain::Icp)),
    ("Ion", Some(Chain::Ton)),
    ("IonTestnet", Some(Chain::Ton)),
    ("Iota", Some(Chain::Iota)),
    ("IotaTestnet", Some(Chain::Iota)),
    ("Kusama", Some(Chain::Substrate)),
    ("KusamaAssetHub", Some(Chain::Substrate)),
    ("Litecoin", None),
    ("LitecoinTestnet", None),
    ("Monad", Some(Chain::Evm)),
    ("MonadTestnet", Some(Chain::Evm)),
    ("Movement", None),
    ("MovementTestnet", None),
    ("Near", Some(Chain::Near)),
    ("NearTestnet", Some(Chain::Near)),
    ("Optimism", Some(Chain::Evm)),
    ("OptimismSepolia", Some(Chain::Evm)),
    ("Origyn", None),
    ("Plasma", Some(Chain::Evm)),
    ("PlasmaTestnet", Some(Chain::Evm)),
    ("Plume", Some(Chain::Evm)),
    ("PlumeSepolia", Some(Chain::Evm)),
    ("Paseo", Some(Chain::Substrate)),
    ("PaseoAssetHub", Some(Chain::Substrate)),
    ("Polkadot", Some(Chain::Substrate)),
    ("PolkadotAssetHub", Some(Chain::Substrate)),
    ("Polygon", Some(Chain::Evm)),
    ("PolygonAmoy", Some(Chain::Evm)),
    ("Polymesh", Some(Chain::Polymesh)),
    ("PolymeshTestnet", Some(Chain::Polymesh)),
    ("Rayls", Some(Chain::Evm)),
    ("RaylsTestnet", Some(Chain::Evm)),
    ("Robinhood", Some(Chain::Evm)),
    ("RobinhoodSepolia", Some(Chain::Evm)),
    ("SeiAtlantic2", Some(Chain::Cosmos)),
    ("SeiPacific1", Some(Chain::Cosmos)),
    ("Solana", Some(Chain::Solana)),
    ("SolanaDevnet", Some(Chain::Solana)),
    ("Sonic", Some(Chain::Evm)),
    ("SonicTestnet", Some(Chain::Evm)),
    ("Starknet", Some(Chain::Starknet)),
    ("StarknetSepolia", Some(Chain::Starknet)),
    ("Stellar", Some(Chain::Stellar)),
    ("StellarTestnet", Some(Chain::Stellar)),
    ("Sui", Some(Chain::Sui)),
    ("SuiTestnet", Some(Chain::Sui)),
    ("Tezos", Some(Chain::Tezos)),
    ("TezosShadownet", Some(Chain::Tezos)),
    ("Tempo", Some(Chain::Evm)),
    ("TempoModerato", Some(Chain::Evm)),
    ("Tsc", None),
    ("TscTestnet1", None),
    ("Ton", Some(Chain::Ton)),
    ("TonTestnet", Some(Chain::Ton)),
    ("Tron", Some(Chain::Tron)),
    ("TronNile", Some(Chain::Tron)),
    ("Westend", Some(Chain::Substrate)),
    ("WestendAssetHub", Some(Chain::Substrate)),
    ("Xdc", Some(Chain::Evm)),
    ("XdcApothem", Some(Chain::Evm)),
    ("XLayer", Some(Chain::Evm)),
    ("XLayerSepolia", Some(Chain::Evm)),
    ("XrpLedger", Some(Chain::Xrpl)),
    ("XrpLedgerTestnet", Some(Chain::Xrpl)),
];

/// Networks that requests may name and answers do not: not every client knows them.
const OLDER_NETWORKS: &[(&str, Option<Chain>)] = &[
    ("ArbitrumGoerli", Some(Chain::Evm)),
    ("Adi", Some(Chain::Evm)),
    ("AdiTestnet", Some(Chain::Evm)),
    ("AdiTestnetAb", Some(Chain::Evm)),
    ("BabylonGenesis", Some(Chain::Cosmos)),
    ("BabylonTestnet5", Some(Chain::Cosmos)),
    ("BaseGoerli", Some(Chain::Evm)),
    ("BerachainBArtio", Some(Chain::Evm)),
    ("BesuTestnet", Some(Chain::Evm)),
    ("BitcoinTestnet3", Some(Chain::Bitcoin)),
    ("BitcoinCashTestnet", Some(Chain::BitcoinCash)),
    ("CantonDevnet", Some(Chain::Canton)),
    ("CeloAlfajores", Some(Chain::Evm)),
    ("EthereumGoerli", Some(Chain::Evm)),
    ("EthereumHolesky", Some(Chain::Evm)),
    ("FantomOpera", Some(Chain::Evm)),
    ("FantomTestnet", Some(Chain::Evm)),
    ("IotaZodianet", Some(Chain::Iota)),
    ("Kaspa", Some(Chain::Kaspa)),
    ("KaspaTestnet11", Some(Chain::Kaspa)),
    ("OptimismGoerli", Some(Chain::Evm)),
    ("PolygonMumbai", Some(Chain::Evm)),
    ("Race", Some(Chain::Evm)),
    ("RaceSepolia", Some(Chain::Evm)),
    ("TezosGhostnet", Some(Chain::Tezos)),
    ("TempoAndantino", Some(Chain::Evm)),
];
